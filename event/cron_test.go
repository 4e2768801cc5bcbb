package event_test

import (
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func place(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The times of New York in 2026: forward on March 8 at 02:00 -05:00, back on
// November 1 at 02:00 -04:00.
func TestCronTakesTheTimesOfTheWallClock(t *testing.T) {
	const newYork, utc = "America/New_York", "UTC"
	for _, c := range []struct {
		name, place, cron, from string
		want                    []string
	}{
		{"every minute", utc, "* * * * *", "2026-05-01T10:00:30Z", []string{"2026-05-01T10:01:00Z", "2026-05-01T10:02:00Z"}},
		{"strictly after", utc, "0 9 * * *", "2026-05-01T09:00:00Z", []string{"2026-05-02T09:00:00Z"}},
		{"just before", utc, "0 9 * * *", "2026-05-01T08:59:59.999Z", []string{"2026-05-01T09:00:00Z"}},
		{"step", utc, "*/20 8-9 * * *", "2026-05-01T08:30:00Z", []string{"2026-05-01T08:40:00Z", "2026-05-01T09:00:00Z", "2026-05-01T09:20:00Z", "2026-05-01T09:40:00Z", "2026-05-02T08:00:00Z"}},
		{"open step", utc, "50/5 1 * * *", "2026-05-01T00:00:00Z", []string{"2026-05-01T01:50:00Z", "2026-05-01T01:55:00Z", "2026-05-02T01:50:00Z"}},
		{"list and names", utc, "0 0 1,15 JAN,jul *", "2026-05-01T00:00:00Z", []string{"2026-07-01T00:00:00Z", "2026-07-15T00:00:00Z", "2027-01-01T00:00:00Z"}},
		{"working days", utc, "0 9 * * mon-fri", "2026-05-01T10:00:00Z", []string{"2026-05-04T09:00:00Z"}},
		{"7 is Sunday", utc, "0 9 * * 7", "2026-05-01T10:00:00Z", []string{"2026-05-03T09:00:00Z"}},
		{"0 is Sunday", utc, "0 9 * * 0", "2026-05-01T10:00:00Z", []string{"2026-05-03T09:00:00Z"}},
		{"either day", utc, "0 0 13 * 5", "2026-05-01T10:00:00Z", []string{"2026-05-08T00:00:00Z", "2026-05-13T00:00:00Z", "2026-05-15T00:00:00Z"}},
		{"leap day", utc, "0 0 29 2 *", "2026-05-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"leap day by real time", utc, "0 * 29 2 *", "2026-05-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2028-02-29T01:00:00Z"}},
		{"macro", utc, "@monthly", "2026-05-01T00:00:00Z", []string{"2026-06-01T00:00:00Z"}},
		{"zone", newYork, "0 9 * * *", "2026-01-10T00:00:00Z", []string{"2026-01-10T14:00:00Z"}},
		{"zone in summer", newYork, "0 9 * * *", "2026-07-10T00:00:00Z", []string{"2026-07-10T13:00:00Z"}},
		{"skipped", newYork, "30 2 * * *", "2026-03-07T20:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"}},
		{"skipped together", newYork, "0,30 2,3 * * *", "2026-03-08T06:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-08T07:30:00Z", "2026-03-09T06:00:00Z"}},
		{"not skipped", newYork, "30 1,4 * * *", "2026-03-08T05:00:00Z", []string{"2026-03-08T06:30:00Z", "2026-03-08T08:30:00Z"}},
		{"twice", newYork, "30 1 * * *", "2026-10-31T20:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"}},
		{"after the second", newYork, "0 2 * * *", "2026-11-01T00:00:00Z", []string{"2026-11-01T07:00:00Z"}},
		{"real time forward", newYork, "30 * * * *", "2026-03-08T06:00:00Z", []string{"2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"}},
		{"real time back", newYork, "30 */1 * * *", "2026-11-01T05:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z"}},
		{"half an hour", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		{"a midnight that is skipped", "America/Santiago", "0 0 * * *", "2026-09-05T12:00:00Z", []string{"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}},
		{"a day that begins later", "America/Santiago", "30 * 6 9 *", "2026-09-01T12:00:00Z", []string{"2026-09-06T04:30:00Z", "2026-09-06T05:30:00Z"}},
	} {
		at, err := time.Parse(time.RFC3339Nano, c.from)
		if err != nil {
			t.Fatal(err)
		}
		r := event.Cron(c.cron, place(t, c.place))
		for _, want := range c.want {
			at = r.Next(at)
			if got := at.UTC().Format(time.RFC3339Nano); got != want {
				t.Errorf("%s: %q in %s after %s is %s, want %s", c.name, c.cron, c.place, c.from, got, want)
			}
		}
	}
}

func TestBadRecurrences(t *testing.T) {
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	try := func(r event.Recurrence) error {
		return s.Schedule(t.Context(), "n", r, &event.Record{Type: "t"})
	}
	for _, text := range []string{
		"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 0 *", "* * * 13 *", "* * * * 8", "*/0 * * * *", "*/60 * * * *",
		"5-1 * * * *", "a * * * *", "-1 * * * *", "+1 * * * *", "1- * * * *", "1,, * * * *", "* * * * mon-", "* * * foo *", "@never", "0 0 30 2 *", "0 * 31 4 *", "1/2/3 * * * *",
	} {
		if err := try(event.Cron(text, nil)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("cron %q: %v, want ErrInvalid", text, err)
		}
		if next := event.Cron(text, nil).Next(time.Now()); !next.IsZero() {
			t.Errorf("cron %q comes at %v", text, next)
		}
	}
	for _, l := range []*time.Location{time.Local, time.FixedZone("here", 3600)} {
		if err := try(event.Cron("* * * * *", l)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("in the place %v: %v, want ErrInvalid", l, err)
		}
	}
	for _, d := range []time.Duration{0, -1, time.Second - 1, time.Second + 1} {
		if err := try(event.Every(d)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("every %v: %v, want ErrInvalid", d, err)
		}
	}
	if err := try(event.Every(time.Second)); err != nil {
		t.Error(err)
	}
	if err := try(event.Cron("* * * * *", place(t, "Europe/Berlin"))); err != nil {
		t.Error(err)
	}
}

// FuzzCron: no text makes it panic or go backwards.
func FuzzCron(f *testing.F) {
	f.Add("*/5 1-3,7 1 jan mon", int64(1_780_000_000))
	f.Fuzz(func(t *testing.T, text string, at int64) {
		from := time.Unix(at%8e9, 0)
		next := event.Cron(text, place(t, "America/New_York")).Next(from)
		if !next.IsZero() && !next.After(from) {
			t.Errorf("%q after %v is %v", text, from, next)
		}
	})
}

// Only the name of a place is kept: one that another process would take for another
// is refused.
func TestCronRefusesAPlaceThatOnlyHasTheNameOfAnother(t *testing.T) {
	for name, c := range map[string]struct {
		place *time.Location
		want  error
	}{
		"of the name, without summer": {time.FixedZone("CET", 3600), event.ErrInvalid},
		"not UTC":                     {time.FixedZone("UTC", 3600), event.ErrInvalid},
		"of no known name":            {time.FixedZone("Here", 3600), event.ErrInvalid},
		"of the same clock":           {time.FixedZone("Etc/GMT-1", 3600), nil},
		"loaded":                      {place(t, "CET"), nil},
		"UTC":                         {time.UTC, nil},
		"none":                        {nil, nil},
	} {
		s := open(t)
		err := s.Schedule(t.Context(), "n", event.Cron("0 9 * * *", c.place), &event.Record{Type: "t"})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
