package event

import (
	"strings"
	"time"
)

// Recurrence says when a schedule publishes its record again: see Every and Cron.
// The zero value is invalid.
type Recurrence struct {
	text string
	rule interface {
		// after returns the first time after now that follows upon from, or the zero
		// time if there is none.
		after(from, now time.Time) time.Time
	}
	err error
}

// Every is every d, a second or more in whole milliseconds, for the first time d
// after Schedule. It is counted from the first time on, so that it does not drift.
func Every(d time.Duration) Recurrence {
	if d < time.Second || d%time.Millisecond != 0 {
		return Recurrence{err: invalidf("every %v, want a second or more in whole milliseconds", d)}
	}
	return Recurrence{text: "every " + d.String(), rule: interval(d)}
}

// Cron is when the wall clock of a place matches five fields: minute, hour, day of
// the month, month and day of the week (0 and 7 are Sunday). Each is "*", a number,
// a range "1-5", a list "1,3-5" or has a step "*/15", "10-40/10"; months and days
// have English names of three letters too. If both days are restricted, one of them
// must match. "@hourly", "@daily", "@weekly", "@monthly" and "@yearly" stand for what
// they say. A nil place is UTC; it must be one that time.LoadLocation knows, in every
// process of the stream.
//
// Where clocks are set forward, a time that is skipped is taken at the first moment
// after the gap. Where they are set back, a time that comes twice is taken the first
// time. If the hour is "*" or "*/n", there are neither gaps nor repetitions: it is
// taken whenever the clock matches.
func Cron(fields string, place *time.Location) Recurrence {
	if place == nil {
		place = time.UTC
	}
	name := place.String()
	if _, err := time.LoadLocation(name); err != nil || name == "Local" || name == "" {
		return Recurrence{err: invalidf("cron in the place %q, want one with a name that time.LoadLocation knows", name)}
	}
	if len(name)+len(fields) > maxCron {
		return Recurrence{err: invalidf("cron of %d bytes, limit %d", len(name)+len(fields), maxCron)}
	}
	rule, err := parseCron(fields, place)
	if err != nil {
		return Recurrence{err: err}
	}
	return Recurrence{text: "cron " + name + " " + fields, rule: rule}
}

// maxCron is how long the text may be, which backends keep.
const maxCron = 240

// String returns "every 1h0m0s", or "cron Europe/Berlin 0 9 * * 1-5".
func (r Recurrence) String() string { return r.text }

// Next returns the first time after t at which the rule applies, or the zero time
// if there is none. Every counts from t.
func (r Recurrence) Next(t time.Time) time.Time {
	if r.check() != nil {
		return time.Time{}
	}
	return r.rule.after(t, t)
}

func (r Recurrence) check() error {
	if r.err != nil {
		return r.err
	}
	if r.rule == nil {
		return invalidf("no recurrence")
	}
	return nil
}

// parseRecurrence reads what String has returned.
func parseRecurrence(s string) (Recurrence, error) {
	kind, rest, _ := strings.Cut(s, " ")
	switch kind {
	case "every":
		d, err := time.ParseDuration(rest)
		if err != nil {
			return Recurrence{}, invalidf("recurrence %q", s)
		}
		r := Every(d)
		return r, r.check()
	case "cron":
		name, fields, _ := strings.Cut(rest, " ")
		place, err := time.LoadLocation(name)
		if err != nil {
			return Recurrence{}, invalidf("recurrence %q: %v", s, err)
		}
		r := Cron(fields, place)
		return r, r.check()
	}
	return Recurrence{}, invalidf("recurrence %q", s)
}

type interval time.Duration

func (d interval) after(from, now time.Time) time.Time {
	missed := max(now.Sub(from), 0) / time.Duration(d)
	return from.Add(time.Duration(d) * (missed + 1))
}
