package haproxyapi

import (
	"fmt"

	"github.com/sluice-project/sluice/edge/language"
)

// A text is one sentence in each language. Both take the same values in the same
// order; what a device or a guard said stands in it as it was said.
type text struct{ en, ru string }

// A lang is a language that the API speaks.
type lang string

const (
	english lang = language.English
	russian lang = language.Russian
)

// A word is a kind of thing that is named in both languages.
type word string

var words = map[word]text{
	"instance": {"instance", "экземпляр"},
	"backend":  {"backend", "бэкенд"},
	"server":   {"server", "сервер"},
}

// All that the API says.
var (
	changed   = text{"server %s is in state %q now", "сервер %s переведён в состояние %q"}
	unchanged = text{"server %s was in state %q already", "сервер %s уже был в состоянии %q"}

	crossOrigin = text{"this request comes from another site's page", "этот запрос отправлен страницей другого сайта"}
	noPageToken = text{
		"the CSRF token is missing or wrong: load the page again, or send the token of one in the header X-CSRF-Token",
		"CSRF-токен не указан или неверен: загрузите страницу ещё раз или передайте её токен в заголовке X-CSRF-Token",
	}
	unauthorized = text{
		"the token is missing or wrong: send the header Authorization: Bearer TOKEN, or a name and a password",
		"токен не указан или неверен: передайте заголовок Authorization: Bearer ТОКЕН либо имя и пароль",
	}
	expired    = text{"the token has expired: use another one", "срок действия токена истёк: используйте другой"}
	lockedOut  = text{"too many failed log-ins: try again in %d s", "слишком много неудачных попыток входа: повторите через %d с"}
	manyLogins = text{"too many log-ins at once: try again", "слишком много одновременных входов: повторите попытку"}
	mayNot     = text{"%s", "доступ запрещён: %s"}
	badMethod  = text{"method %s is not served here: use %s", "метод %s здесь не поддерживается: используйте %s"}
	noPath     = text{
		"no such path: want instances, [INSTANCE/]backends, [INSTANCE/]backends/BACKEND/servers or [INSTANCE/]backends/BACKEND/servers/SERVER/action",
		"нет такого пути: ожидается instances, [INSTANCE/]backends, [INSTANCE/]backends/BACKEND/servers или [INSTANCE/]backends/BACKEND/servers/SERVER/action",
	}
	uncleanPath = text{"no such path: write it without empty and dot segments", "нет такого пути: напишите его без пустых частей и без точек"}
	badEscape   = text{"path segment %s is not percent-encoded rightly", "часть пути %s закодирована неверно"}
	badName     = text{
		"%s %s: a name has letters, digits, '.', ':', '_' and '-', at most 255",
		"%s %s: имя состоит из латинских букв, цифр и знаков '.', ':', '_' и '-', не больше 255",
	}
	noSuch     = text{"no such %s: %s", "не найден %s: %s"}
	noInstance = text{"no HAProxy is configured", "не настроен ни один HAProxy"}

	badType      = text{"content type %s: send JSON with the header Content-Type: application/json", "тип содержимого %s: отправьте JSON с заголовком Content-Type: application/json"}
	badEncoding  = text{"content encoding %s: send the body plain", "кодировка содержимого %s: отправьте тело без сжатия"}
	bigBody      = text{"the body is too big: at most %d bytes", "тело запроса слишком велико: не больше %d байт"}
	emptyBody    = text{`the body is empty: want {"action": "ready"}, "drain" or "maint"`, `тело запроса пусто: ожидается {"action": "ready"}, "drain" или "maint"`}
	badJSON      = text{"the body is not JSON: %s", "тело запроса не JSON: %s"}
	moreJSON     = text{"something follows the end of the JSON object", "после конца объекта JSON что-то следует"}
	noObject     = text{"the body is not a JSON object", "тело запроса не объект JSON"}
	unknownField = text{"unknown field %s: want action, override and reason", "неизвестное поле %s: допустимы action, override и reason"}
	fieldTwice   = text{"field %s stands there twice", "поле %s указано дважды"}
	badField     = text{"field %s is of the wrong kind: action and reason are texts, override is a short list of texts", "поле %s неверного вида: action и reason — строки, override — короткий список строк"}
	noAction     = text{"field action is missing: want ready, drain or maint", "нет поля action: ожидается ready, drain или maint"}
	badAction    = text{"action %s: want ready, drain or maint", "действие %s: ожидается ready, drain или maint"}
	badGuard     = text{"override %s is no name of a guard", "override %s: такого имени защиты не бывает"}
	badOverride  = text{"override %s: %s", "override %s: пропустить эту защиту нельзя: %s"}
	badReason    = text{"reason: want one line of at most %d characters", "reason: ожидается одна строка не длиннее %d знаков"}
	noReason     = text{"override wants a reason: say in the field reason why", "для override нужна причина: укажите её в поле reason"}

	guardRefused = text{"guard %s refuses: %s", "защита %s не разрешает: %s"}
	guardSoft    = text{
		`guard %s refuses: %s: to pass it over, name it in "override" and say why in "reason"`,
		`защита %s не разрешает: %s: чтобы пропустить её, назовите её в "override" и укажите причину в "reason"`,
	}
	dryRun         = text{"the remediator is in mode dry_run: nothing is sent to a device", "ремедиатор в режиме dry_run: устройствам ничего не отправляется"}
	haproxyRefused = text{"HAProxy %s refused the command: %s", "HAProxy %s отклонил команду: %s"}
	haproxyAway    = text{"HAProxy %s can't be reached: %s", "HAProxy %s недоступен: %s"}
	outcomeUnknown = text{"HAProxy %s was told, and whether it obeyed is unknown: %s", "команда отправлена HAProxy %s, выполнена ли она — неизвестно: %s"}
	busy           = text{"too many orders wait for HAProxy %s: at most %d", "слишком много команд ожидает HAProxy %s: не больше %d"}
	notNow         = text{"nothing was done, as it can't be now: %s", "ничего не сделано, сейчас это невозможно: %s"}
	internal       = text{"internal error: %s", "внутренняя ошибка: %s"}
)

// say writes a text with its values in the language.
func (l lang) say(t text, args ...any) string {
	form := t.en
	if l == russian {
		form = t.ru
	}
	values := make([]any, len(args))
	for i, a := range args {
		if w, ok := a.(word); ok {
			a = l.say(words[w])
		}
		values[i] = a
	}
	return fmt.Sprintf(form, values...)
}

// spoken is the language that the caller likes best.
func spoken(accept string) lang { return lang(language.Preferred(accept)) }
