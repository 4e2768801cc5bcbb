package statsd

import (
	"strings"
	"unicode/utf8"

	"github.com/cactus/go-statsd-client/v5/statsd"
)

// Dialect is how labels are written.
type Dialect uint8

// The dialects.
const (
	Plain Dialect = iota
	Telegraf
	DogStatsD
	Graphite
)

// whole reports whether counters must be whole numbers: Telegraf and the
// OpenTelemetry collector, which read these dialects, cut fractions off.
func (d Dialect) whole() bool { return d == Telegraf || d == DogStatsD }

// maxValue is how many bytes of a label value are sent.
const maxValue = 200

// special are the characters that mean something in each dialect, or in one
// that a receiver may take the line for.
var special = [...]string{
	Plain:     ":|@#,;=/\\. *?[]{}()'\"~`!$%^&+<>",
	Telegraf:  ":,|=@#; \\",
	DogStatsD: ",|\\;",
	Graphite:  ";~:|=,@#! ",
}

// clean returns v as the dialect can carry it, and whether that is a change.
func (d Dialect) clean(v string) (string, bool) {
	bad := false
	for i := range len(v) {
		if c := v[i]; c < ' ' || c >= 0x7f || strings.IndexByte(special[d], c) >= 0 {
			bad = true
			break
		}
	}
	if !bad && len(v) <= maxValue {
		return v, false
	}
	var b strings.Builder
	for _, r := range v {
		if b.Len()+utf8.RuneLen(r) > maxValue {
			break
		}
		switch {
		case r < ' ' || r == 0x7f || r == utf8.RuneError || 0x80 <= r && r < 0xa0,
			r < utf8.RuneSelf && strings.IndexByte(special[d], byte(r)) >= 0,
			r >= utf8.RuneSelf && d == Plain:
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	clean := b.String()
	return clean, clean != v
}

// name returns what stands before the colon, and what stands after the rate.
func (d Dialect) name(name string, keys, values []string) (infix, suffix []byte, changed uint64) {
	if strings.IndexByte(name, ':') >= 0 { // the end of a name in every dialect
		name = strings.ReplaceAll(name, ":", "_")
		changed++
	}
	infix = append(infix, name...)
	tags := make([]statsd.Tag, 0, len(keys))
	for i, k := range keys {
		v, bad := d.clean(values[i])
		if bad {
			changed++
		}
		switch {
		case d == Plain:
			if v == "" {
				v = "_"
			}
			infix = append(append(infix, '.'), v...)
		case v != "":
			tags = append(tags, statsd.Tag{k, v})
		}
	}
	if len(tags) == 0 {
		return infix, nil, changed
	}
	switch d {
	case Telegraf:
		infix = statsd.InfixComma.WriteInfix(infix, tags)
	case Graphite:
		infix = statsd.InfixSemicolon.WriteInfix(infix, tags)
	case DogStatsD:
		suffix = statsd.SuffixOctothorpe.WriteSuffix(nil, tags)
	}
	return infix, suffix, changed
}
