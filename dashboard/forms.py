"""The forms of the sign-in and password pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.forms.utils import ErrorList

NO_MATCH = "This name and password do not belong together. Both are case-sensitive."


class _Noticed(forms.BaseForm):
    """A form with a sentence, `notice`, shown where its errors are: why somebody is here."""

    notice = ""

    def non_field_errors(self) -> ErrorList:
        """The notice, if there is one, and what is wrong with the form."""
        errors = super().non_field_errors()
        return self.error_class([self.notice, *errors]) if self.notice else errors


class SigninForm(_Noticed, AuthenticationForm):
    """Name and password."""

    error_messages = {"invalid_login": NO_MATCH, "inactive": NO_MATCH}

    def __init__(self, *args: Any, notice: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.notice = notice
        self.fields["username"].label = "Name"


class FirstPasswordForm(_Noticed, SetPasswordForm):  # type: ignore[type-arg]
    """A first password: whoever came by a one-time link has no old one."""


class NewPasswordForm(_Noticed, PasswordChangeForm):
    """A new password, for somebody who knows the old one."""


PasswordForm = FirstPasswordForm | NewPasswordForm


def password_form(user: User, data: Any = None, notice: str = "") -> PasswordForm:
    """The form that fits what `user` has."""
    made: PasswordForm = (
        NewPasswordForm(user, data) if user.has_usable_password() else FirstPasswordForm(user, data)
    )
    made.notice = notice
    for name, label in (("new_password1", "New password"), ("new_password2", "Once more")):
        made.fields[name].label = label
        made.fields[name].widget.attrs["autocomplete"] = "new-password"
    for field in made.fields.values():
        if isinstance(field, forms.CharField):
            field.max_length = 4096  # more would only cost time to hash
    return made
