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
// process of the stream, and not another of its name, as time.FixedZone makes them.
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
	known, err := time.LoadLocation(name)
	if err != nil || name == "Local" || name == "" {
		return Recurrence{err: invalidf("cron in the place %q, want one with a name that time.LoadLocation knows", name)}
	}
	if !sameClock(place, known, time.Now()) { // as of time.FixedZone("CET", 3600): only the name is kept
		return Recurrence{err: invalidf("cron in the place %q, which is not the one that time.LoadLocation knows by this name", name)}
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

// sameClock reports whether the clocks of two places show the same for as long as a
// time is looked for.
func sameClock(a, b *time.Location, t time.Time) bool {
	for end := t.AddDate(searchYears, 0, 0); t.Before(end); {
		_, offset := t.In(a).Zone()
		_, other := t.In(b).Zone()
		if offset != other {
			return false
		}
		_, next := t.In(a).ZoneBounds()
		if _, until := t.In(b).ZoneBounds(); next.IsZero() || !until.IsZero() && until.Before(next) {
			next = until
		}
		if next.IsZero() {
			return true
		}
		if !next.After(t) { // at the turn of some years a zone ends where it begins
			next = t.Add(24 * time.Hour)
		}
		t = next
	}
	return true
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
