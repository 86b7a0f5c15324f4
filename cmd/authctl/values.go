package main

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// A span is a duration in days, such as 14d, or as time.ParseDuration reads it.
type span time.Duration

const (
	day     = 24 * time.Hour
	maxDays = 36500
)

func parseSpan(text string) (span, error) {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		if n, err = strconv.Atoi(days); n > maxDays {
			err = strconv.ErrRange
		}
		d = time.Duration(n) * day
	}
	if err != nil || d <= 0 {
		return 0, errors.New("must be a duration such as 14d or 36h")
	}
	return span(d), nil
}

// A moment is a time in the past or in the future.
type moment time.Time

// parseMoment also reads a span, which is a time that long ago.
func parseMoment(text string, now time.Time) (moment, error) {
	if s, err := parseSpan(text); err == nil {
		return moment(now.Add(-time.Duration(s))), nil
	}
	t, err := parseTime(text)
	if err != nil {
		return moment{}, errors.New("must be a duration such as 30d, a date such as 2026-01-31, or a time of RFC 3339")
	}
	return moment(t), nil
}

// parseTime reads a date as its beginning in UTC. Its error does not have the text, which in a
// file with shifted columns may be a credential.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errors.New("must be a date such as 2026-01-31, or a time of RFC 3339")
}

func decodeSpan(ctx *kong.DecodeContext, target reflect.Value) error {
	return decode(ctx, target, parseSpan)
}

func decodeMoment(ctx *kong.DecodeContext, target reflect.Value) error {
	return decode(ctx, target, func(text string) (moment, error) { return parseMoment(text, time.Now()) })
}

func decode[T any](ctx *kong.DecodeContext, target reflect.Value, parse func(string) (T, error)) error {
	var text string
	if err := ctx.Scan.PopValueInto("value", &text); err != nil {
		return err
	}
	v, err := parse(text)
	if err != nil {
		return fmt.Errorf("%q %w", text, err)
	}
	target.Set(reflect.ValueOf(v))
	return nil
}
