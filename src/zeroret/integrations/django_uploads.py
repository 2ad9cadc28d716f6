"""Django's uploads: the files that it would write to its temporary folder stay in memory."""

from __future__ import annotations

import sys
import tempfile
from functools import wraps
from typing import Any, Final

from zeroret.guards.spools import PATCHES, enclosing

IN_MEMORY: Final = (
    "this upload is in memory and has no path, since zeroret keeps uploads off the disk: "
    "read it with chunks() or read(), or save it to a folder of writable=[…]"
)
"""What `temporary_file_path` says of an upload that has none."""


def watch_files(uploadedfile: Any) -> None:
    """Keep `TemporaryUploadedFile` of *uploadedfile* (``django.core.files.uploadedfile``) off disk.

    The class is changed in place: handlers, settings and subclasses that name it stay as they are.
    """
    base = uploadedfile.UploadedFile

    def make_init(original: Any) -> Any:
        @wraps(original)
        def init(  # noqa: PLR0913, PLR0917 - the arguments of the original
            self: Any,
            name: Any,
            content_type: Any,
            size: Any,
            charset: Any,
            content_type_extra: Any = None,
        ) -> None:
            if enclosing() is None:
                original(self, name, content_type, size, charset, content_type_extra)
                return
            file = tempfile.SpooledTemporaryFile(max_size=sys.maxsize)  # noqa: SIM115 - the exchange closes it
            base.__init__(self, file, name, content_type, size, charset, content_type_extra)

        return init

    PATCHES.replace(uploadedfile.TemporaryUploadedFile, "__init__", make_init)
    PATCHES.replace(uploadedfile.TemporaryUploadedFile, "temporary_file_path", _Path)


def watch_handlers(uploadhandler: Any) -> None:
    """Let the handler of *uploadhandler* (``django.core.files.uploadhandler``) end without a path.

    Django removes the file of an upload that broke off by its path.
    """

    def make(original: Any) -> Any:
        @wraps(original)
        def upload_interrupted(self: Any) -> None:
            file = getattr(self, "file", None)
            if file is not None and not hasattr(file, "temporary_file_path"):
                file.close()
                return
            original(self)

        return upload_interrupted

    PATCHES.replace(uploadhandler.TemporaryFileUploadHandler, "upload_interrupted", make)


class _Path:
    """The method `temporary_file_path`, which uploads in memory do not have.

    Django's storages and image fields ask `hasattr` and take the content where there is no path.
    """

    def __init__(self, original: Any) -> None:
        self._original = original

    def __get__(self, upload: Any, owner: Any = None) -> Any:
        if upload is not None and isinstance(upload.file, tempfile.SpooledTemporaryFile):
            raise AttributeError(IN_MEMORY)
        return self._original.__get__(upload, owner)
