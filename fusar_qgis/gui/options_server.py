"""Options: the server to connect to, and whether the connection works."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget, QgsPasswordLineEdit
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ..connection.client import Client
from ..connection.handshake import Handshake
from ..connection.token import TokenError, forget_token, has_token, keep_token, kept_token
from ..contract import Info
from ..core.endpoint import Endpoint, EndpointError, endpoint, read_token
from ..core.setting_names import KEY_FILE, URL


class ServerSection(QWidget):
    """Address and token of a server, and a test of them."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._client: Client | None = None
        self._handshake: Handshake | None = None
        self._make_fields()
        self._lay_out()
        self._test.clicked.connect(self._start_test)
        self._url.textEdited.connect(self._forget_result)

    def apply(self) -> bool:
        """Keep what is entered; return whether the server is another one now. Raises TokenError."""
        settings = QgsSettings()
        before = (settings.value(URL, "", type=str), settings.value(KEY_FILE, "", type=str))
        after = (self._url.text().strip(), self._token_file.filePath().strip())
        for key, value in zip((URL, KEY_FILE), after):  # noqa: B905 - Python 3.9 has no strict
            if value:
                settings.setValue(key, value)
            else:
                settings.remove(key)
        if after[1]:
            forget_token()
        token = self._token.text().strip()
        if token:
            keep_token(token)
        return before != after or bool(token)

    def _make_fields(self) -> None:
        settings = QgsSettings()
        self._url = QLineEdit(settings.value(URL, "", type=str), self)
        self._url.setPlaceholderText("https://gpu.example.org:8765")
        self._url.setClearButtonEnabled(True)
        self._token = QgsPasswordLineEdit(self)
        self._token.setPlaceholderText(
            self.tr("Kept in QGIS's authentication storage")
            if has_token()
            else self.tr("From who runs the server")
        )
        self._token_file = QgsFileWidget(self)
        self._token_file.setFilePath(settings.value(KEY_FILE, "", type=str))
        self._token_file.setDialogTitle(self.tr("Choose the file that holds the token"))
        self._token_file.lineEdit().setPlaceholderText(self.tr("None"))
        self._test = QPushButton(self.tr("&Test connection"), self)
        self._result = QLabel(self)
        self._result.setWordWrap(True)
        self._result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("&Address"), self._url)
        form.addRow(self.tr("T&oken"), self._token)
        form.addRow(self.tr("Or token fi&le"), self._token_file)
        row = QHBoxLayout()
        row.addWidget(self._test)
        row.addStretch()
        hint = QLabel(
            self.tr(
                "With an SSH tunnel the address is http://127.0.0.1 and the tunnel's port. Scenes that are on this "
                "computer are sent to the server, only the part under the area."
            ),
            self,
        )
        hint.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(row)
        layout.addWidget(self._result)
        layout.addWidget(hint)
        if os.environ.get("FUSAR_URL"):
            above = QLabel(
                self.tr("The variable FUSAR_URL is set to {url} and goes before these settings.").format(
                    url=os.environ["FUSAR_URL"]
                ),
                self,
            )
            above.setWordWrap(True)
            layout.insertWidget(0, above)
        layout.addStretch()

    def _endpoint(self) -> Endpoint:
        token = self._token.text().strip()
        file = self._token_file.filePath().strip()
        if not token:
            token = read_token(Path(file).expanduser().read_text("utf-8")) if file else kept_token()
        return endpoint(self._url.text(), token)

    def _start_test(self) -> None:
        self._stop_test()
        try:
            address = self._endpoint()
        except EndpointError:
            self._show(False, self.tr("Not a valid URL. Example: https://gpu.example.org:8765"))
        except (OSError, UnicodeDecodeError) as error:
            self._show(False, self.tr("The token file cannot be read: {error}.").format(error=error))
        except TokenError as error:
            self._show(False, str(error))
        else:
            self._result.setText(self.tr("Connecting…"))
            self._test.setEnabled(False)
            self._client = Client(address, self)
            self._handshake = Handshake(self._client)
            self._handshake.answered.connect(self._connected)
            self._handshake.failed.connect(self._not_connected)

    def _connected(self, info: Info) -> None:
        self._handshake = None
        models = ", ".join(model.title for model in info.models)
        self._show(
            True,
            self.tr("Connected to FUSAR-GPT {version} on {device}, model: {models}.").format(
                version=info.version, device=info.device, models=models
            ),
        )

    def _not_connected(self, problem: str) -> None:
        self._handshake = None
        self._show(False, problem)

    def _show(self, well: bool, text: str) -> None:
        self._test.setEnabled(True)
        mark = "✔" if well else "✘"
        self._result.setText(f"{mark} {escape(text, quote=False)}")

    def _forget_result(self) -> None:
        self._stop_test()
        self._result.clear()

    def _stop_test(self) -> None:
        if self._handshake is not None:
            self._handshake.stop()
            self._handshake = None
        self._test.setEnabled(True)
