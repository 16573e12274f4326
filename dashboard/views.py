"""The pages. What they show live comes over the socket; here is only the frame of it."""

from __future__ import annotations

from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from dashboard import pages, sharing
from dashboard import signin as links
from dashboard.forms import PasswordForm, SigninForm, password_form
from metrics import access
from metrics.clock import now_ms
from metrics.limiter import Limiter
from metrics.models import Metric

FIRST_DASHBOARD = "this-machine"
ATTEMPTS_PER_MINUTE = 10
LINK_IS_SPENT = (
    "This link was used already, or it is older than a day. Sign in with your password, or get a "
    "fresh link: python manage.py signin."
)
ONLY_SHARED = (
    "You see the dashboards that are shared with you. The list of all metrics needs the permission "
    "“Can view metric”, which an admin can give you."
)

attempts = Limiter(ATTEMPTS_PER_MINUTE)

read_only = require_safe
form_page = require_http_methods(["GET", "HEAD", "POST"])


@read_only
def dashboards(request: HttpRequest) -> HttpResponse:
    """/: the list of dashboards."""
    found = sharing.visible_to(request.user).prefetch_related("panels")
    return render(request, "dashboards.html", {"dashboards": found})


@read_only
def dashboard(request: HttpRequest, slug: str) -> HttpResponse:
    """/d/<slug>/: one dashboard."""
    found = get_object_or_404(sharing.visible_to(request.user), slug=slug)
    page = pages.page(request, found.title, found.panels.all())
    return render(request, "dashboard.html", {"dashboard": found, "page": page})


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """/metrics/: every metric, live."""
    _expect_to_read_everything(request)
    return render(request, "metrics.html", {"page": pages.page(request, "Metrics")})


@read_only
def metric(request: HttpRequest, name: str) -> HttpResponse:
    """/metrics/<name>/: one metric, drawn."""
    _expect_to_read_everything(request)
    if "\0" in name:  # PostgreSQL would not even compare with it
        raise Http404
    found = get_object_or_404(Metric, name=name)
    page = pages.page(request, found.name, pages.metric_panels(found))
    return render(request, "metric.html", {"metric_name": found.name, "page": page})


@read_only
def live_get(request: HttpRequest) -> HttpResponse:
    """/live/ without a WebSocket: says what is there."""
    response = render(request, "live_get.html", status=426)
    response["Upgrade"] = "websocket"
    return response


@login_not_required
@sensitive_post_parameters("password")
@never_cache
@csrf_protect
@form_page
def signin(request: HttpRequest) -> HttpResponseBase:
    """/signin/: name and password."""
    target = next_page(request)
    if request.user.is_authenticated:
        return HttpResponseRedirect(target)
    if request.method != "POST":
        return _signin_page(request, SigninForm(request), target)
    keys = _attempt_keys(request)
    at_ms = now_ms()
    wait = _too_many(keys, at_ms)
    if wait:
        return _signin_page(request, SigninForm(request, notice=wait), target, status=429)
    for key in keys:  # before the password is looked at: attempts made at once count too
        attempts.count(key, at_ms)
    form = SigninForm(request, request.POST)
    if not form.is_valid():
        return _signin_page(request, form, target)
    for key in keys:
        attempts.give_back(key, at_ms)
    login(request, form.get_user())
    return HttpResponseRedirect(target)


@login_not_required
@never_cache
@require_GET
def signin_link(request: HttpRequest, secret: str) -> HttpResponseBase:
    """/signin/<secret>/: signs in once, and says how to get another link when it is spent."""
    user = links.use_link(secret, timezone.now())
    if user is not None:
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        if sharing.visible_to(user).filter(slug=FIRST_DASHBOARD).exists():
            return redirect("dashboard", FIRST_DASHBOARD)
        return redirect("dashboards")
    if request.user.is_authenticated:  # the same link opened twice
        return redirect("dashboards")
    form = SigninForm(request, notice=LINK_IS_SPENT)
    return _signin_page(request, form, resolve_url("dashboards"), status=410)


@require_POST
@csrf_protect
def signout(request: HttpRequest) -> HttpResponseBase:
    """/signout/: ends the session."""
    logout(request)
    return redirect("signin")


@sensitive_post_parameters()
@never_cache
@csrf_protect
@form_page
def password(request: HttpRequest) -> HttpResponseBase:
    """/password/: sets the first password, or changes it with the old one. The session stays."""
    user = request.user
    if not isinstance(user, User):
        raise PermissionDenied
    first = not user.has_usable_password()
    if request.method != "POST":
        return _password_page(request, password_form(user), first)
    key, at_ms = f"password:{user.pk}", now_ms()
    wait = _too_many([key], at_ms)
    if wait:
        return _password_page(request, password_form(user, notice=wait), first, status=429)
    attempts.count(key, at_ms)
    form = password_form(user, request.POST)
    if not form.is_valid():
        return _password_page(request, form, first)
    form.save()
    attempts.give_back(key, at_ms)
    links.drop_links(user)
    update_session_auth_hash(request, user)
    return redirect("dashboards")


@login_not_required
@require_safe
def admin_signin(request: HttpRequest) -> HttpResponseBase:
    """/admin/login/: people sign in at one place, which counts attempts."""
    target = next_page(request, "admin:index")
    if not request.user.is_authenticated:
        return redirect_to_login(target)
    if request.user.is_active and request.user.is_staff:
        return HttpResponseRedirect(target)
    raise PermissionDenied


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form from elsewhere, or one that is too old."""
    return render(request, "403.html", {"reason": reason}, status=403)


def next_page(request: HttpRequest, fallback: str = "dashboards") -> str:
    """Where `next` leads, if that is a page of this site; else the fallback's address."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return wanted
    return resolve_url(fallback)


def _expect_to_read_everything(request: HttpRequest) -> None:
    """Raises PermissionDenied with what an admin can do."""
    if not access.may_read_everything(request.user):
        raise PermissionDenied(ONLY_SHARED)


def _signin_page(
    request: HttpRequest, form: SigninForm, target: str, status: int = 200
) -> HttpResponse:
    return render(request, "signin.html", {"form": form, "next": target}, status=status)


def _password_page(
    request: HttpRequest, form: PasswordForm, first: bool, status: int = 200
) -> HttpResponse:
    return render(request, "password.html", {"form": form, "first": first}, status=status)


def _attempt_keys(request: HttpRequest) -> list[str]:
    """What sign-in attempts are counted by: where from, and for whom."""
    name = request.POST.get("username", "")[:150].casefold()
    return [f"address:{request.META.get('REMOTE_ADDR', '')}", f"name:{name}"]


def _too_many(keys: list[str], at_ms: int) -> str:
    """A sentence when one of these was tried too often; else empty."""
    wait_ms = max(attempts.wait_ms(key, at_ms) for key in keys)
    return f"Too many attempts. Try again in {-(-wait_ms // 1000)} seconds." if wait_ms else ""
