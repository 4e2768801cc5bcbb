package baggage_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
)

// text is what a baggage holds, by names and decoded values.
func text(b baggage.Baggage) string {
	var all []string
	for m := range b.All() {
		s := m.Name + "=" + m.Value
		for _, p := range m.Properties {
			s += ";" + p.Name
			if p.HasValue {
				s += "=" + p.Value
			}
		}
		all = append(all, s)
	}
	return strings.Join(all, "|")
}

func TestParseKeepsTheGoodMembersAndSaysWhatWasDropped(t *testing.T) {
	for _, c := range []struct {
		name, header, want string
		dropped            bool
	}{
		{"nothing", "", "", false},
		{"one", "a=1", "a=1", false},
		{"several", "a=1,b=2", "a=1|b=2", false},
		{"white space", " a \t=\t 1 , b=2\t", "a=1|b=2", false},
		{"empty elements", ",a=1,,b=2, ,", "a=1|b=2", false},
		{"an empty value", "a=,b=2", "a=|b=2", false},
		{"an equal sign in the value", "a=1=2=", "a=1=2=", false},
		{"names have case", "a=1,A=2", "a=1|A=2", false},
		{"the later of two", "a=1,b=2,a=3", "a=3|b=2", false},
		{"all characters of a token", "!#$%&'*+-.^_`|~09azAZ=1", "!#$%&'*+-.^_`|~09azAZ=1", false},
		{"all characters of a value", "a=!#$&'()*+-./09:<=>?@AZ[]^_`az{|}~", "a=!#$&'()*+-./09:<=>?@AZ[]^_`az{|}~", false},
		{"escapes", "a=%20%2C%3b%25%C3%A9+", "a= ,;%é+", false},
		{"escapes that are no UTF-8", "a=x%FFy%C3", "a=x\uFFFDy\uFFFD", false},
		{"properties", "a=1;p;q=2 ; r = %2C;s=,b=2;;p;", "a=1;p;q=2;r=,;s=|b=2;p", false},
		{"no equal sign", "a,b=2", "b=2", true},
		{"no name", "=1,b=2", "b=2", true},
		{"a space in the name", "a b=1,b=2", "b=2", true},
		{"a name that is no ASCII", "é=1,b=2", "b=2", true},
		{"a quote", `a="1",b=2`, "b=2", true},
		{"a backslash", `a=\,b=2`, "b=2", true},
		{"a space in the value", "a=1 2,b=2", "b=2", true},
		{"a value that is no ASCII", "a=é,b=2", "b=2", true},
		{"a control character", "a=1\x00,b=2", "b=2", true},
		{"half an escape", "a=%2,b=2", "b=2", true},
		{"no escape", "a=%zz,b=2", "b=2", true},
		{"a property without a name", "a=1;=2,b=2", "b=2", true},
		{"a property that is not a token", "a=1;p q,b=2", "b=2", true},
		{"a property's bad value", "a=1;p=%,b=2", "b=2", true},
		{"blank properties", "a=1; ;p; ,b=2; ", "a=1;p|b=2", false},
		{"nothing but bad ones", "a,b", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := baggage.Parse(c.header)
			if text(got) != c.want || (err != nil) != c.dropped || err != nil && !errors.Is(err, baggage.ErrInvalid) {
				t.Fatalf("Parse(%q) = %q, %v; want %q, dropped %v", c.header, text(got), err, c.want, c.dropped)
			}
			again, err := baggage.Parse(got.String())
			if text(again) != c.want || again.String() != got.String() || err != nil {
				t.Errorf("%q read again is %q, %v", got.String(), text(again), err)
			}
		})
	}
	got, err := baggage.Parse("a=1,b=2", "", "c=3,b=4")
	if text(got) != "a=1|b=4|c=3" || err != nil {
		t.Errorf("three lines give %q, %v", text(got), err)
	}
}

// members returns n of them, each of size bytes with its comma.
func members(n, size int) string {
	var all []string
	for i := range n {
		name := fmt.Sprintf("m%03d=", i)
		all = append(all, name+strings.Repeat("v", size-len(name)-1))
	}
	return strings.Join(all, ",")
}

func TestLimits(t *testing.T) {
	long := func(n int) string { return "a=" + strings.Repeat("v", n-2) }
	for _, c := range []struct {
		name  string
		lines []string
		want  int // members
		whole bool
	}{
		{"63 members", []string{members(63, 10)}, 63, true},
		{"64 members", []string{members(64, 10)}, 64, true},
		{"65 members", []string{members(65, 10)}, 64, false},
		{"64 and one of them again", []string{members(64, 10), "m001=x"}, 64, true},
		{"8191 bytes", []string{long(8191)}, 1, true},
		{"8192 bytes", []string{long(8192)}, 1, true},
		{"8193 bytes", []string{long(8193)}, 0, false},
		{"8192 bytes in 64 members", []string{members(64, 128) + "v"}, 64, true},
		{"8193 bytes in 64 members", []string{members(64, 128) + "vv"}, 63, false},
		{"8192 bytes in two lines", []string{long(8188), "b=1"}, 2, true},
		{"8193 bytes in two lines", []string{long(8189), "b=1"}, 1, false},
		{"a second line behind the limit", []string{long(8192), "b=1"}, 1, false},
		{"a third line behind the limit", []string{long(8192), "", "b=1"}, 1, false},
		{"a line that is cut behind a member", []string{long(8000), members(1, 192) + ",b=1"}, 2, false},
		{"nothing after a cut", []string{"a=1," + strings.Repeat("v", 9000), "b=1"}, 1, false},
		{"escapes that grow to 8192 bytes", []string{"a=" + strings.Repeat("%FF", 910)}, 1, true},
		{"escapes that grow beyond", []string{"b=1,a=" + strings.Repeat("%FF", 911)}, 1, false},
		{"a megabyte", []string{strings.Repeat("a=1,", 1<<18)}, 1, false},
	} {
		got, err := baggage.Parse(c.lines...)
		if got.Len() != c.want || (err == nil) != c.whole || len(got.String()) > baggage.MaxBytes {
			t.Errorf("%s: %d members in %d bytes, %v; want %d, whole %v", c.name, got.Len(), len(got.String()), err, c.want, c.whole)
		}
	}
	full, err := baggage.Parse(members(64, 10))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := full.With(baggage.Member{Name: "m000", Value: "x"}); err != nil || b.Value("m000") != "x" || b.Len() != 64 {
		t.Errorf("replacing a member of full baggage: %v, %d members", err, b.Len())
	}
	if b, err := full.With(baggage.Member{Name: "more"}); !errors.Is(err, baggage.ErrInvalid) || b.Len() != 64 || b.String() != full.String() {
		t.Errorf("the 65th member: %v, %d members", err, b.Len())
	}
	for n, ok := range map[int]bool{8191: true, 8192: true, 8193: false} {
		b, err := baggage.Baggage{}.With(baggage.Member{Name: "a", Value: strings.Repeat("v", n-2)})
		if (err == nil) != ok || ok && len(b.String()) != n || !ok && b.Len() != 0 {
			t.Errorf("%d bytes: %v, %d bytes", n, err, len(b.String()))
		}
	}
}

func TestWithAndWithoutLeaveTheOriginal(t *testing.T) {
	one, err := baggage.Baggage{}.With(baggage.Member{Name: "tenant", Value: "acme, inc", Properties: []baggage.Property{{Name: "p"}, {Name: "q", Value: "1;2"}, {Name: "r", HasValue: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "tenant=acme%2C%20inc;p;q=1%3B2;r="; one.String() != want {
		t.Errorf("String() = %q, want %q", one.String(), want)
	}
	two, err := one.With(baggage.Member{Name: "user", Value: "Zoë"})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := two.With(baggage.Member{Name: "tenant", Value: "other"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		b    baggage.Baggage
		want string
	}{
		{one, "tenant=acme%2C%20inc;p;q=1%3B2;r="},
		{two, "tenant=acme%2C%20inc;p;q=1%3B2;r=,user=Zo%C3%AB"},
		{changed, "tenant=other,user=Zo%C3%AB"},
		{changed.Without("tenant"), "user=Zo%C3%AB"},
		{changed.Without("tenant", "user"), ""},
		{changed.Without("Tenant", ""), "tenant=other,user=Zo%C3%AB"},
		{baggage.Baggage{}.Without("x"), ""},
	} {
		if c.b.String() != c.want {
			t.Errorf("%q, want %q", c.b.String(), c.want)
		}
	}
	if m, ok := two.Get("user"); !ok || m.Value != "Zoë" || two.Value("user") != "Zoë" || two.Value("nobody") != "" {
		t.Errorf("Get = %v, %v", m, ok)
	}
	if _, ok := two.Get("nobody"); ok {
		t.Error("a member that is not there was found")
	}
	for _, m := range []baggage.Member{
		{}, {Name: "a b"}, {Name: "é"}, {Name: "a", Value: "\xff"}, {Name: "a", Properties: []baggage.Property{{}}},
		{Name: "a", Properties: []baggage.Property{{Name: "p", Value: "\xff"}}}, {Name: "a,b"}, {Name: "a=b"}, {Name: "a\r\nb"},
	} {
		if b, err := one.With(m); !errors.Is(err, baggage.ErrInvalid) || b.String() != one.String() {
			t.Errorf("With(%+v) = %q, %v; want an error", m, b.String(), err)
		}
	}
}

func TestContext(t *testing.T) {
	ctx := t.Context()
	if b := baggage.FromContext(ctx); b.Len() != 0 {
		t.Errorf("a fresh context has %q", b)
	}
	one, err := baggage.Set(ctx, "a", "1")
	if err != nil {
		t.Fatal(err)
	}
	two, err := baggage.Set(one, "b", "2")
	if err != nil {
		t.Fatal(err)
	}
	same, err := baggage.Set(two, "a b", "")
	if !errors.Is(err, baggage.ErrInvalid) || same != two {
		t.Errorf("a bad name gave %v, and another context: %v", err, same != two)
	}
	none := baggage.ContextWith(two, baggage.Baggage{})
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{{ctx, ""}, {one, "a=1"}, {two, "a=1,b=2"}, {none, ""}} {
		h := http.Header{}
		baggage.Inject(c.ctx, trace.Header(h))
		if got := h.Get("baggage"); got != c.want {
			t.Errorf("Inject wrote %q, want %q", got, c.want)
		}
		if _, there := h["Baggage"]; there != (c.want != "") {
			t.Errorf("an empty header was written for %q", c.want)
		}
		back := baggage.Extract(ctx, trace.Header(h))
		if baggage.FromContext(back).String() != c.want || c.want == "" && back != ctx {
			t.Errorf("%q came back as %q", c.want, baggage.FromContext(back))
		}
	}
	if kept := baggage.Extract(two, trace.Header{"Baggage": {"bad"}}); kept != two {
		t.Error("a bad header changed the context")
	}
}

func TestAttrsNamesMembers(t *testing.T) {
	ctx, err := baggage.Set(t.Context(), "tenant", "acme")
	if err != nil {
		t.Fatal(err)
	}
	ctx, err = baggage.Set(ctx, "secret", "s")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"user", "tenant"}
	attrs := baggage.Attrs(names...)
	names[1] = "secret" // does not count any more
	before := []slog.Attr{slog.Int("a", 1)}
	if got := attrs(ctx, before); len(got) != 2 || !got[1].Equal(slog.String("tenant", "acme")) {
		t.Errorf("%v, want tenant alone", got)
	}
	for _, ctx := range []context.Context{t.Context(), nil} {
		if got := attrs(ctx, before); !slices.EqualFunc(got, before, slog.Attr.Equal) {
			t.Errorf("without baggage: %v", got)
		}
	}
}

func TestNothingCostsNothing(t *testing.T) {
	type other struct{}
	ctx, h := context.WithValue(t.Context(), other{}, 1), trace.Header{"Accept": {"x"}}
	attrs, room := baggage.Attrs("tenant"), make([]slog.Attr, 0, 4)
	if n := testing.AllocsPerRun(100, func() {
		ctx := baggage.Extract(ctx, h)
		baggage.Inject(ctx, h)
		attrs(ctx, room)
	}); n != 0 {
		t.Errorf("%v allocations without baggage, want none", n)
	}
}

// A name that comes again takes the place of the one before, at the limits too; escapes
// that are none are refused.
func TestANameThatComesAgain(t *testing.T) {
	grows := strings.Repeat("%FF", 300) // 900 bytes of a header, 2700 of what is sent on
	var many []string
	for i := range baggage.MaxMembers {
		many = append(many, fmt.Sprint("k", i, "=v"))
	}
	all := strings.Join(many, ",")
	for name, c := range map[string]struct {
		lines []string
		n     int
		well  bool
	}{
		"once":                     {[]string{"a=" + grows}, 1, true},
		"four times":               {[]string{"a=" + grows, "a=" + grows, "a=" + grows, "a=" + grows}, 1, true},
		"four names":               {[]string{"a=" + grows, "b=" + grows, "c=" + grows, "d=" + grows}, 3, false},
		"the second, four times":   {[]string{"x=1", "a=" + grows, "a=" + grows, "a=" + grows, "a=" + grows}, 2, true},
		"as many as may be":        {[]string{all}, baggage.MaxMembers, true},
		"and the first again":      {[]string{all, "k0=w"}, baggage.MaxMembers, true},
		"and the last again":       {[]string{all, many[len(many)-1]}, baggage.MaxMembers, true},
		"and another":              {[]string{all, "other=w"}, baggage.MaxMembers, false},
		"an escape":                {[]string{"a=%41"}, 1, true},
		"no escape":                {[]string{"a=%zz"}, 0, false},
		"half an escape":           {[]string{"a=%4"}, 0, false},
		"no escape, in a property": {[]string{"a=1;p=%zz"}, 0, false},
	} {
		b, err := baggage.Parse(c.lines...)
		if (err == nil) != c.well || b.Len() != c.n {
			t.Errorf("%s: %d members, %v, want %d", name, b.Len(), err, c.n)
		}
	}
}
