"""Django settings; with dashboard/environment.py the only reader of environment variables.

docs/settings.md lists every variable; a test holds the two together.
"""

from __future__ import annotations

import os
from pathlib import Path

from dashboard.environment import Environment, own_names
from dashboard.secret import secret_key

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / "var")
HOST = env.text("HOST", "127.0.0.1")
PORT = env.number("PORT", 8000, 0, 65535)
WORKERS = env.number("WORKERS", 1, 1, 256)
PROCESS = env.text("PROCESS", "")
TLS_CERT = env.folder("TLS_CERT", Path()) if env.text("TLS_CERT", "") else None
TLS_KEY = env.folder("TLS_KEY", Path()) if env.text("TLS_KEY", "") else None
DRAIN_SECONDS = env.number("DRAIN_SECONDS", 0, 0, 60)
NOTIFY_SOCKET = env.text("NOTIFY_SOCKET", "")
DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY", "") or secret_key(DATA_DIR)

ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS", own_names(HOST))
# Exact origins that may open a socket besides the page's own, and post forms behind a proxy.
ORIGINS = env.origins("ORIGINS")
CSRF_TRUSTED_ORIGINS = ORIGINS
BEHIND_TLS_PROXY = env.flag("BEHIND_TLS_PROXY", False)
READ_ALL = env.flag("READ_ALL", True)
SHARE_SOCKETS = env.flag("SHARE_SOCKETS", True)
TRUSTED_PROXIES = env.text("TRUSTED_PROXIES", "127.0.0.1")
HTTPS = BEHIND_TLS_PROXY or TLS_CERT is not None

DATABASES = {"default": env.database("DATABASE_URL", DATA_DIR)}
if "TEST_DATABASE_FILE" in os.environ:
    DATABASES["default"]["TEST"] = {"NAME": os.environ["TEST_DATABASE_FILE"]}
REDIS_URL = env.text("REDIS_URL", "")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "dashboard.layers.RedisLayer",
        "CONFIG": {"hosts": env.redis("REDIS_URL")},
    }
    if REDIS_URL
    else {"BACKEND": "dashboard.layers.EmbeddedLayer"}
}

# What the log, the head and the live queries may cost (docs/settings.md has the reasons).
HEAD_SECONDS = env.number("HEAD_SECONDS", 3600, 60, 86400)
HEAD_SAMPLES = env.number("HEAD_SAMPLES", 20_000_000, 100_000, 1_000_000_000)
TICK_MS = env.number("TICK_MS", 50, 10, 5000)
TAIL_MS = env.number("TAIL_MS", 25, 5, 5000)
LOOKBACK_SECONDS = env.number("LOOKBACK_SECONDS", 300, 1, 86400)
SERIES_PER_METRIC = env.number("SERIES_PER_METRIC", 10_000, 1, 10_000_000)
SERIES = env.number("SERIES", 1_000_000, 1, 100_000_000)
SERIES_PER_QUERY = env.number("SERIES_PER_QUERY", 1000, 1, 100_000)
POINTS_PER_SERIES = env.number("POINTS_PER_SERIES", 11_000, 10, 1_000_000)
SAMPLES_PER_QUERY = env.number("SAMPLES_PER_QUERY", 20_000_000, 1000, 1_000_000_000)
WATCHES_PER_CONNECTION = env.number("WATCHES_PER_CONNECTION", 100, 1, 10_000)
CONNECTIONS_PER_USER = env.number("CONNECTIONS_PER_USER", 100, 1, 100_000)
CONNECTIONS = env.number("CONNECTIONS", 10_000, 1, 1_000_000)
BODY_BYTES = env.number("BODY_BYTES", 16 * 1024 * 1024, 1024, 1 << 30)
RESERVE_BYTES = env.number("RESERVE_BYTES", 64 * 1024 * 1024, 0, 1 << 50)
# How long what is kept (docs/storage.md); 0: for ever, or no budget.
KEEP_RAW_DAYS = env.number("KEEP_RAW_DAYS", 14, 0, 36_500)
KEEP_10S_DAYS = env.number("KEEP_10S_DAYS", 30, 0, 36_500)
KEEP_1M_DAYS = env.number("KEEP_1M_DAYS", 365, 0, 36_500)
KEEP_1H_DAYS = env.number("KEEP_1H_DAYS", 0, 0, 36_500)
LATE_DAYS = env.number("LATE_DAYS", 7, 0, 36_500)
DISK_BUDGET_MB = env.number("DISK_BUDGET_MB", 0, 0, 1_000_000_000)
env.check(
    not 0 < KEEP_RAW_DAYS < LATE_DAYS,
    f"KEEP_RAW_DAYS={KEEP_RAW_DAYS} is less than LATE_DAYS={LATE_DAYS}: to put a late sample right "
    "in the rollups the samples around it are needed; keep them longer, or lower LATE_DAYS.",
)
PUBLISH_BUFFER = env.number("PUBLISH_BUFFER", 100_000, 100, 100_000_000)

INSTALLED_APPS = [
    "metrics",
    "dashboard",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
]
MIDDLEWARE = [
    "dashboard.headers.SecurityHeaders",
    "metrics.api.door.Door",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.pages.rights",
            ],
        },
    },
]

CSRF_FAILURE_VIEW = "dashboard.views.csrf_failure"
LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "dashboards"
LOGOUT_REDIRECT_URL = "signin"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "__Host-pulseboard" if HTTPS else "pulseboard"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
if HTTPS:
    SECURE_HSTS_SECONDS = env.number("HSTS_SECONDS", 3600, 0, 63_072_000)
    SECURE_SSL_REDIRECT = False  # the proxy's work; health checks come over plain HTTP
# What `manage.py check --deploy` asks for and is decided elsewhere.
SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # dashboard.headers sends X-Frame-Options
    "security.W005",  # sub-domains and preload lists: for the owner of the domain to decide
    "security.W008",  # the proxy redirects to HTTPS
    "security.W021",
]

LANGUAGE_CODE = "en"
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "WARNING").upper()},
    "loggers": {
        # Django's own console handler stays silent without DEBUG; ours speaks.
        "django": {"handlers": [], "propagate": True},
        "django.request": {"level": "ERROR"},
    },
}
