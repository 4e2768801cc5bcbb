package baggage_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	otelbaggage "go.opentelemetry.io/otel/baggage"

	"github.com/micro/go-platform/trace/baggage"
)

// foreign is what OpenTelemetry's package makes of a header, as text does.
func foreign(b otelbaggage.Baggage) []string {
	var all []string
	for _, m := range b.Members() {
		s := m.Key() + "=" + m.Value()
		for _, p := range m.Properties() {
			s += ";" + p.Key()
			if v, has := p.Value(); has {
				s += "=" + v
			}
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

func ours(b baggage.Baggage) []string {
	var all []string
	for m := range b.All() {
		one, _ := baggage.Baggage{}.With(m)
		all = append(all, text(one))
	}
	slices.Sort(all)
	return all
}

// FuzzAgreesWithOpenTelemetry reads what is no longer than the limit with both
// packages, and what ours writes with the other.
func FuzzAgreesWithOpenTelemetry(f *testing.F) {
	for _, s := range []string{
		"", "a=1", "a=1,b=2;p;q=%20", " a = 1 ,, b=", "a=%FF", "a=%zz,b=1", `a="x",b=1`, "a=1;;p=1;", "a=1,a=2,b=3",
		"é=1,b=2", "a=1=2", members(65, 10), members(64, 128), "a=" + strings.Repeat("%FF", 911) + ",b=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, _ := baggage.Parse(s)
		if len(got.String()) > baggage.MaxBytes || got.Len() > baggage.MaxMembers {
			t.Fatalf("%q gave %d members in %d bytes", s, got.Len(), len(got.String()))
		}
		back, err := baggage.Parse(got.String())
		if err != nil || back.String() != got.String() {
			t.Fatalf("%q was written as %q and read as %q, %v", s, got, back, err)
		}
		sent, err := otelbaggage.Parse(got.String())
		if err != nil || !slices.Equal(foreign(sent), ours(got)) {
			t.Fatalf("%q: OpenTelemetry reads %q as %q, %v; want %q", s, got, foreign(sent), err, ours(got))
		}
		if len(s) > baggage.MaxBytes || strings.ContainsFunc(s, strange) || blank.MatchString(s) {
			return
		}
		if theirs, _ := otelbaggage.Parse(s); !slices.Equal(ours(got), foreign(theirs)) {
			t.Errorf("Parse(%q) = %q, OpenTelemetry's %q", s, ours(got), foreign(theirs))
		}
	})
}

// blank properties are an error to OpenTelemetry's package if they have white
// space, and were kept before its version 1.47 if they have none.
var blank = regexp.MustCompile(`;[ \t]*(;|,|$)`)

// strange characters are white space to OpenTelemetry's package, but not to the
// specification.
func strange(r rune) bool { return r == '\r' || r == '\n' || r == '\v' || r == '\f' || r > 0x7f }

// FuzzEveryValueTravels sends any text through a header.
func FuzzEveryValueTravels(f *testing.F) {
	f.Add("acme, inc; \"é\" 100%", "p", "\x00\n")
	f.Fuzz(func(t *testing.T, value, property, propertyValue string) {
		in := baggage.Member{Name: "name", Value: value, Properties: []baggage.Property{{Name: cmp.Or(property, "p"), Value: propertyValue}}}
		b, err := baggage.Baggage{}.With(in)
		if err != nil {
			return
		}
		back, err := baggage.Parse(b.String())
		if got, _ := back.Get("name"); err != nil || got.Value != value || got.Properties[0].Value != propertyValue {
			t.Fatalf("%+v was sent as %q and came back as %+v, %v", in, b, got, err)
		}
		theirs, err := otelbaggage.Parse(b.String())
		if err != nil || theirs.Member("name").Value() != value {
			t.Fatalf("OpenTelemetry reads %q as %q, %v; want %q", b, theirs.Member("name").Value(), err, value)
		}
	})
}
