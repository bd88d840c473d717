package openapi

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"time"
)

// Valid checks a value by as much of JSON Schema 2020-12 as the document uses; a
// keyword that it doesn't know is an error, so that none is passed over. Errors
// begin with where in the value they are.
func Valid(schema, v any, where string) error {
	s, ok := Resolved(schema).(Object)
	if !ok {
		return fmt.Errorf("%s: no schema", where)
	}
	var errs []error
	for keyword, want := range s {
		if err := judge(s, keyword, want, v, where); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// judge checks a value by one keyword.
func judge(s Object, keyword string, want, v any, where string) error {
	bad := func(format string, args ...any) error { return fmt.Errorf(where+": "+format, args...) }
	text, isText := v.(string)
	number, isNumber := v.(float64)
	o, isObject := v.(Object)
	list, isList := v.([]any)
	_, isBool := v.(bool)
	var errs []error
	switch keyword {
	case "description", "examples", "example", "default":
	case "type":
		is := map[any]bool{"object": isObject, "array": isList, "string": isText, "boolean": isBool, "number": isNumber, "integer": isNumber && number == math.Trunc(number)}[want]
		if !is {
			return bad("is %T, want %v", v, want)
		}
	case "const":
		if !reflect.DeepEqual(v, want) {
			return bad("is %v, want %v", v, want)
		}
	case "enum":
		if !slices.Contains(want.([]any), v) {
			return bad("is %v, want one of %v", v, want)
		}
	case "format":
		if want != "date-time" {
			return bad("the schema has format %v, which is not known here", want)
		}
		if _, err := time.Parse(time.RFC3339, text); isText && err != nil {
			return bad("%w", err)
		}
	case "minimum":
		if isNumber && number < want.(float64) {
			return bad("is %v, want at least %v", v, want)
		}
	case "maximum":
		if isNumber && number > want.(float64) {
			return bad("is %v, want at most %v", v, want)
		}
	case "maxLength":
		if isText && len([]rune(text)) > int(want.(float64)) {
			return bad("is longer than %v", want)
		}
	case "maxItems":
		if isList && len(list) > int(want.(float64)) {
			return bad("has more than %v items", want)
		}
	case "pattern":
		if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
			return bad("is %q, want %v", text, want)
		}
	case "required":
		for _, key := range want.([]any) {
			if _, ok := o[key.(string)]; isObject && !ok {
				errs = append(errs, bad("lacks %v", key))
			}
		}
	case "properties":
		for key, sub := range want.(Object) {
			if field, ok := o[key]; ok {
				errs = append(errs, Valid(sub, field, where+"."+key))
			}
		}
	case "additionalProperties":
		for key, field := range o {
			switch _, known := As(s["properties"])[key]; {
			case known:
			case want == false:
				errs = append(errs, bad("has %q, which the document doesn't know", key))
			default:
				errs = append(errs, Valid(want, field, where+"."+key))
			}
		}
	case "items":
		for i, item := range list {
			errs = append(errs, Valid(want, item, fmt.Sprintf("%s[%d]", where, i)))
		}
	default:
		return bad("the schema has %q, which is not known here", keyword)
	}
	return errors.Join(errs...)
}
