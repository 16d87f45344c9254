"""A small project that uses earwitness_client.django; REDIS_URL is the worker's Redis."""

import os
from pathlib import Path

HERE = Path(os.environ.get("PROJECT_FOLDER", "."))

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
ROOT_URLCONF = "urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "earwitness_client.django",
    "shop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": HERE / "site.sqlite3",
        "OPTIONS": {"timeout": 20},
        "TEST": {"NAME": HERE / "test.sqlite3"},
    }
}
if "POSTGRES_USER" in os.environ:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "site",
        "USER": os.environ["POSTGRES_USER"],
        "HOST": os.environ["POSTGRES_HOST"],
        "TEST": {"NAME": os.environ["POSTGRES_NAME"]},
    }
if "DATABASE_NAME" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["DATABASE_NAME"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
EARWITNESS = {
    "URL": os.environ.get("REDIS_URL", "redis://127.0.0.1:1/0"),
    "NOTIFY_QUEUE": "shop",
}
