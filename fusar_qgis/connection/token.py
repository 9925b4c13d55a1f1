"""The token of a server, kept encrypted in QGIS's authentication manager, never in the plain settings."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsAuthManager, QgsAuthMethodConfig, QgsSettings

from ..translation import translate

_KEY = "fusar/authcfg"
_NAME = "FUSAR-GPT"
_METHOD = "Basic"  # the one that every QGIS has; the token is its password

_of_this_session = ""


class TokenError(Exception):
    """The token cannot be read or kept; the message says why and what to do."""


def kept_token() -> str:
    """Return the token that was kept, or an empty text. QGIS may ask for its master password. Raises TokenError."""
    if _of_this_session:
        return _of_this_session
    authcfg = QgsSettings().value(_KEY, "", type=str)
    if not authcfg:
        return ""
    manager = _manager()
    if authcfg not in manager.configIds():
        return ""
    config = QgsAuthMethodConfig()
    _check(manager.loadAuthenticationConfig(authcfg, config, True))
    return str(config.config("password"))


def keep_token(token: str) -> None:
    """Keep ``token`` in place of the one before, at least until QGIS is closed.

    QGIS may ask for its master password. Raises TokenError where it is not kept for longer.
    """
    global _of_this_session  # memory is the only place that needs no password
    _of_this_session = token
    settings = QgsSettings()
    manager = _manager()
    authcfg = settings.value(_KEY, "", type=str)
    config = QgsAuthMethodConfig(_METHOD)
    config.setName(_NAME)
    config.setConfig("username", "fusar")
    config.setConfig("password", token)
    if authcfg and authcfg in manager.configIds():
        config.setId(authcfg)
        _check(manager.updateAuthenticationConfig(config))
    else:
        _check(manager.storeAuthenticationConfig(config))
    settings.setValue(_KEY, config.id())
    _of_this_session = ""


def has_token() -> bool:
    """Whether a token is kept, without opening it."""
    return bool(_of_this_session or QgsSettings().value(_KEY, "", type=str))


def forget_token() -> None:
    """Remove the token that was kept, if there is one."""
    global _of_this_session
    _of_this_session = ""
    settings = QgsSettings()
    authcfg = settings.value(_KEY, "", type=str)
    settings.remove(_KEY)
    manager = QgsApplication.authManager()
    if authcfg and not manager.isDisabled() and authcfg in manager.configIds():
        manager.removeAuthenticationConfig(authcfg)


def _manager() -> QgsAuthManager:
    manager = QgsApplication.authManager()
    if manager.isDisabled():
        raise TokenError(
            translate(
                "Token",
                "QGIS's authentication system is switched off ({reason}), so it cannot keep the token. Start QGIS "
                "with the token in the variable FUSAR_TOKEN and the address in FUSAR_URL.",
            ).format(reason=manager.disabledMessage().strip().rstrip("."))
        )
    return manager


def _check(done: bool | tuple[bool, QgsAuthMethodConfig]) -> None:
    # With the configuration that was filled in beside it, where PyQGIS says so.
    if not (done[0] if isinstance(done, tuple) else done):
        raise TokenError(
            translate(
                "Token",
                "QGIS's authentication storage, where the token belongs, is locked. Try again and enter QGIS's "
                "master password (Settings, Options, Authentication).",
            )
        )
