// Package promname maps the names of instruments to those that Prometheus
// shows, by the rules of "Prometheus and OpenMetrics Compatibility" in
// OpenTelemetry's specification:
// http.server.request.duration in "s" is http_server_request_duration_seconds.
package promname

import "strings"

// Kind is a metrics.Kind, in the same numbers.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota
	Gauge
	Histogram
	Summary
	UpDownCounter
)

// total is what the name of a counter's samples ends in.
const total = "_total"

// Family returns the name of a metric family: in the characters that
// Prometheus takes, with the unit at its end unless the name has it, and of a
// counter without "_total".
func Family(name, unit string, kind Kind) string {
	name = fit(name, ':')
	if kind == Counter {
		name = strings.TrimSuffix(name, total)
	}
	if unit == "1" && kind != Gauge { // only a level is a ratio
		return name
	}
	whole, per := split(unit)
	return with(with(name, whole), per)
}

// with appends a word to a name that doesn't have it.
func with(name, word string) string {
	if word == "" || strings.Contains("_"+name+"_", "_"+word+"_") {
		return name
	}
	return name + "_" + word
}

// Samples returns the names that the samples of a family have.
func Samples(family string, kind Kind) []string {
	switch kind {
	case Counter:
		return []string{family + total}
	case Histogram:
		return []string{family + "_bucket", family + "_sum", family + "_count"}
	case Summary:
		return []string{family, family + "_sum", family + "_count"}
	}
	return []string{family}
}

// Key returns the name of a label. "le" is taken by the bounds of buckets.
func Key(key string) string {
	key = fit(key, '_')
	if key == "le" {
		return "le_"
	}
	return key
}

// Unit returns the words that a unit has in names, "" for none. UCUM's codes are
// spelled out, as in "s" and "By/s"; what stands in braces counts things and has
// no word.
func Unit(unit string) string {
	whole, per := split(unit)
	if whole == "" || per == "" {
		return whole + per
	}
	return whole + "_" + per
}

// split returns "bytes" and "per_second" of "By/s".
func split(unit string) (whole, per string) {
	for {
		i, end := strings.IndexByte(unit, '{'), strings.IndexByte(unit, '}')
		if i < 0 {
			break
		}
		if end < i {
			return "", ""
		}
		unit = unit[:i] + unit[end+1:]
	}
	whole, per, _ = strings.Cut(unit, "/")
	whole, per = spell(whole, words), spell(per, each)
	if per != "" {
		per = "per_" + per
	}
	return whole, per
}

func spell(code string, by map[string]string) string {
	if word, ok := by[code]; ok {
		return word
	}
	return strings.Trim(fit(code, '_'), "_")
}

// words are UCUM's codes as the plurals that names end in.
var words = map[string]string{
	"d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds",
	"By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tebibytes",
	"KBy": "kilobytes", "kBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
	"m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius", "Hz": "hertz",
	"1": "ratio", "%": "percent",
}

// each are the codes that stand behind a slash.
var each = map[string]string{"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}

// fit returns s in letters, digits, "_" and also, without a digit at its
// beginning and with one "_" for each run of other characters.
func fit(s string, also byte) string {
	if fits(s, also) {
		return s
	}
	var b strings.Builder
	if s == "" || '0' <= s[0] && s[0] <= '9' {
		b.WriteByte('_')
	}
	for i := range len(s) {
		c := s[i]
		if !letter(c) && c != also && (c < '0' || c > '9') {
			c = '_'
		}
		if c == '_' && strings.HasSuffix(b.String(), "_") {
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func fits(s string, also byte) bool {
	for i := range len(s) {
		c := s[i]
		if !letter(c) && c != also && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}

func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
