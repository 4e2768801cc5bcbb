package event

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// cron is five fields as sets of bits, and the place whose clock they are about.
type cron struct {
	minutes, hours, days, months, weekdays uint64

	everyHour bool // the hour is "*" or has a step of it
	eitherDay bool // both days are restricted: one of them is enough
	place     *time.Location
}

// cronMacros are as in Vixie cron.
var cronMacros = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

var (
	cronMonths   = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
	cronWeekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// searchYears is how far a time is looked for: the 29th of February on a given
// day of the week comes once in 28 years, and 2100 has none.
const searchYears = 40

func parseCron(text string, place *time.Location) (*cron, error) {
	if m, ok := cronMacros[text]; ok {
		text = m
	}
	fields := strings.Fields(text)
	if len(fields) != 5 {
		return nil, invalidf("cron %q has %d fields, want 5: minute, hour, day of the month, month, day of the week", text, len(fields))
	}
	c := &cron{place: place}
	for i, f := range []struct {
		what      string
		low, high int
		names     []string
		set       *uint64
	}{
		{"minute", 0, 59, nil, &c.minutes}, {"hour", 0, 23, nil, &c.hours}, {"day of the month", 1, 31, nil, &c.days},
		{"month", 1, 12, cronMonths, &c.months}, {"day of the week", 0, 7, cronWeekdays, &c.weekdays},
	} {
		set, ok := cronField(fields[i], f.low, f.high, f.names)
		if !ok {
			return nil, invalidf("cron %q: %q is no %s", text, fields[i], f.what)
		}
		*f.set = set
	}
	if c.weekdays&(1<<7) != 0 {
		c.weekdays |= 1
	}
	c.everyHour = fields[1][0] == '*'
	c.eitherDay = fields[2][0] != '*' && fields[4][0] != '*'
	if c.after(time.Now(), time.Now()).IsZero() {
		return nil, invalidf("cron %q never comes", text)
	}
	return c, nil
}

// cronField reads "*", "5", "1-5", "*/15", "1-30/10", and lists of these.
func cronField(s string, low, high int, names []string) (set uint64, ok bool) {
	for part := range strings.SplitSeq(s, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			step, ok = cronNumber(stepText, 1, high, nil)
			if !ok {
				return 0, false
			}
		}
		from, to := low, high
		if span != "*" {
			a, b, isRange := strings.Cut(span, "-")
			from, ok = cronNumber(a, low, high, names)
			if !ok {
				return 0, false
			}
			switch {
			case isRange:
				to, ok = cronNumber(b, low, high, names)
				if !ok || to < from {
					return 0, false
				}
			case !stepped: // "5/10" is from 5 to the end
				to = from
			}
		}
		for n := from; n <= to; n += step {
			set |= 1 << n
		}
	}
	return set, true
}

func cronNumber(s string, low, high int, names []string) (int, bool) {
	for i, name := range names {
		if strings.EqualFold(s, name) {
			return i + low, true
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && s[0] >= '0' && s[0] <= '9' && n >= low && n <= high
}

func (c *cron) day(y int, m time.Month, d int, weekday time.Weekday) bool {
	if c.months&(1<<m) == 0 {
		return false
	}
	ofMonth, ofWeek := c.days&(1<<d) != 0, c.weekdays&(1<<weekday) != 0
	if c.eitherDay {
		return ofMonth || ofWeek
	}
	return ofMonth && ofWeek
}

func (c *cron) after(from, now time.Time) time.Time {
	if now.After(from) {
		from = now
	}
	if c.everyHour {
		return c.matching(from.In(c.place))
	}
	return c.first(from.In(c.place))
}

// first returns the first time after t of those that each day has once.
func (c *cron) first(t time.Time) time.Time {
	y, m, d := t.Date()
	for day := time.Date(y, m, d, 12, 0, 0, 0, time.UTC); day.Year() < y+searchYears; day = day.AddDate(0, 0, 1) {
		if !c.day(day.Year(), day.Month(), day.Day(), day.Weekday()) {
			continue
		}
		for hours := c.hours; hours != 0; hours &= hours - 1 {
			for minutes := c.minutes; minutes != 0; minutes &= minutes - 1 {
				if at := wall(day, bits.TrailingZeros64(hours), bits.TrailingZeros64(minutes), c.place); at.After(t) {
					return at
				}
			}
		}
	}
	return time.Time{}
}

// wall returns when the clock of a place shows a time: the first of two, and of
// none the end of the gap.
func wall(day time.Time, hour, minute int, place *time.Location) time.Time {
	y, m, d := day.Date()
	at := time.Date(y, m, d, hour, minute, 0, 0, place)
	start, end := at.ZoneBounds()
	asked := time.Date(y, m, d, hour, minute, 0, 0, time.UTC)
	shown := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
	switch {
	case shown.Before(asked):
		return end
	case shown.After(asked):
		return start
	}
	if !start.IsZero() { // may it have been shown before the clocks were set back?
		_, offset := at.Zone()
		_, former := start.Add(-time.Second).Zone()
		if earlier := at.Add(-time.Duration(former-offset) * time.Second); former > offset && earlier.Before(start) {
			return earlier
		}
	}
	return at
}

// matching returns the first minute after t that the clock shows, by real time.
func (c *cron) matching(t time.Time) time.Time {
	limit := t.Year() + searchYears
	for t = t.Truncate(time.Minute).Add(time.Minute); t.Year() < limit; {
		y, m, d := t.Date()
		switch {
		case !c.day(y, m, d, t.Weekday()):
			next := time.Date(y, m, d+1, 0, 0, 0, 0, c.place)
			if !next.After(t) { // a day that begins with a gap
				next = t.Add(time.Hour)
			}
			t = next
		case c.hours&(1<<t.Hour()) == 0 || c.minutes&(1<<t.Minute()) == 0:
			t = t.Add(time.Minute)
		default:
			return t
		}
	}
	return time.Time{}
}
