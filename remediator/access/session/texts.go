package session

import (
	"net/http"

	"github.com/sluice-project/sluice/edge/language"
)

// A Text is one sentence in each language that the log-in speaks.
type Text struct{ EN, RU string }

// A lang is such a language.
type lang string

const (
	english lang = language.English
	russian lang = language.Russian
)

func (t Text) in(l lang) string {
	if l == russian {
		return t.RU
	}
	return t.EN
}

// All that the log-in page says.
var (
	title         = Text{"Log in to Sluice", "Вход в Sluice"}
	nameLabel     = Text{"Name", "Имя"}
	passwordLabel = Text{"Password", "Пароль"}
	enter         = Text{"Log in", "Войти"}
	withProvider  = Text{"Log in with %s", "Войти через %s"}
	again         = Text{"Back to the console", "Вернуться в консоль"}
	nobody        = Text{
		"Nobody can log in here: the configuration names no user with a password and no OIDC provider.",
		"Войти здесь нельзя: в конфигурации нет ни пользователей с паролем, ни провайдера OIDC.",
	}

	wrong       = Text{"The name or the password is wrong.", "Неверное имя или пароль."}
	empty       = Text{"Fill in the name and the password.", "Укажите имя и пароль."}
	lockedOut   = Text{"Too many log-ins have failed. Wait a while, then try again.", "Слишком много неудачных попыток входа. Подождите и попробуйте ещё раз."}
	noPassword  = Text{"Nobody logs in by password here.", "Вход по паролю здесь отключён."}
	notNow      = Text{"Nobody can be logged in just now: the remediator's log says why.", "Сейчас войти нельзя: причина указана в логе ремедиатора."}
	badForm     = Text{"The form can't be read. Send it again.", "Форма не читается. Отправьте её ещё раз."}
	oldForm     = Text{"The form was too old, or the browser keeps no cookies. Try again.", "Форма устарела или браузер не сохраняет cookie. Попробуйте ещё раз."}
	crossOrigin = Text{"This request came from another site's page. Nothing was done.", "Этот запрос отправлен страницей другого сайта. Ничего не сделано."}
)

// languageOf is the language that the browser likes best.
func languageOf(r *http.Request) lang {
	return lang(language.Preferred(r.Header.Get("Accept-Language")))
}
