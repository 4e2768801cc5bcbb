package structured_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/structured"
)

func TestParseList(t *testing.T) {
	type params = []structured.Param
	for _, c := range []struct {
		in   string
		want []structured.Item
	}{
		{``, nil},
		{`  `, nil},
		{`"default";r=50;t=30`, []structured.Item{{"default", params{{"r", int64(50)}, {"t", int64(30)}}}}},
		{`"a\"\\b" ,	tok/en:x;  *k`, []structured.Item{{`a"\b`, nil}, {structured.Token("tok/en:x"), params{{"*k", true}}}}},
		{`-1, 1.5, ?0, ?1, @-7, :aGk=:, :aGk:`, []structured.Item{{int64(-1), nil}, {1.5, nil}, {false, nil}, {true, nil}, {structured.Date(-7), nil}, {[]byte("hi"), nil}, {[]byte("hi"), nil}}},
		{`%"gr%c3%bcn"`, []structured.Item{{structured.Display("grün"), nil}}},
		{`("a" b;x=1);y=2, ()`, []structured.Item{{[]structured.Item{{"a", nil}, {structured.Token("b"), params{{"x", int64(1)}}}}, params{{"y", int64(2)}}}, {[]structured.Item{}, nil}}},
		{`a;r=1;s=2;r=3`, []structured.Item{{structured.Token("a"), params{{"r", int64(3)}, {"s", int64(2)}}}}}, // the last one counts
		{`azAZ~09, "~ !", :+/8=:, %"~ !%7e", a;z_-.*09az=1;*z`, []structured.Item{{structured.Token("azAZ~09"), nil}, {"~ !", nil}, {[]byte{0xfb, 0xff}, nil}, {structured.Display("~ !~"), nil},
			{structured.Token("a"), params{{"z_-.*09az", int64(1)}, {"*z", true}}}}},
		{`999999999999999, 123456789012.123`, []structured.Item{{int64(999999999999999), nil}, {123456789012.123, nil}}},
	} {
		got, err := structured.ParseList([]string{c.in})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %#v, %v, want %#v", c.in, got, err, c.want)
		}
	}
	got, err := structured.ParseList([]string{"a", "b, c"})
	if err != nil || len(got) != 3 {
		t.Errorf("two lines: got %v, %v", got, err)
	}
}

func TestMalformedListsAreRefused(t *testing.T) {
	for _, in := range []string{
		`a,`, `,a`, `a b`, `a,,b`, `"a`, `"a\x"`, "\"a\tb\"", `"ü"`, `ü`, `1.`, `1.2345`, `1234567890123456`, `1234567890123.1`, `-`, `--1`,
		`a;`, `a;R=1`, `a; =1`, `a;r=`, `?2`, `?`, `:a!:`, `:aGk=`, `@1.5`, `@`, `(a`, `(a,b)`, `("a""b")`, `((a))`, `%"%C3%BC"`, `%"%c3"`, `%"%z0"`, `%"a`, `%a`, "a\x00", "a;r\x00=1", `=`,
		strings.Repeat("a,", 1<<12) + "a", "a" + strings.Repeat(";b1", 3000), `"` + strings.Repeat("x", 8<<10) + `"`,
	} {
		got, err := structured.ParseList([]string{in})
		if err == nil {
			t.Errorf("%.40q: got %v, want an error", in, got)
		}
	}
}

func TestListsAreBounded(t *testing.T) {
	long := func(n int) string { return `"` + strings.Repeat("x", n-3) + `"` } // with the byte that a line costs
	for _, c := range []struct {
		what string
		in   string
		ok   bool
	}{
		{"bytes below", long(structured.MaxBytes - 1), true}, {"bytes at", long(structured.MaxBytes), true}, {"bytes above", long(structured.MaxBytes + 1), false},
		{"items below", strings.Repeat("a,", structured.MaxItems-2) + "a", true}, {"items at", strings.Repeat("a,", structured.MaxItems-1) + "a", true}, {"items above", strings.Repeat("a,", structured.MaxItems) + "a", false},
	} {
		_, err := structured.ParseList([]string{c.in})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{"default": `"default"`, `a"\`: `"a\"\\"`, "ü\n": `"???"`, " ~\x7f\x1f": `" ~??"`, "": `""`} {
		if got := string(structured.AppendString(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// What is written is read back as it was, and nothing makes the parser panic.
func FuzzParseList(f *testing.F) {
	for _, s := range []string{`"default";r=50;t=30`, `("a" b;x=1);y=2`, `%"gr%c3%bcn", @1, ?1, :aGk=:`, `a;;`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		structured.ParseList([]string{s, s})
		if len(s) > structured.MaxBytes/2-3 {
			return
		}
		got, err := structured.ParseList([]string{string(structured.AppendString(nil, s))})
		if err != nil || len(got) != 1 || len(got[0].Params) != 0 {
			t.Fatalf("%q: got %v, %v", s, got, err)
		}
		text, ok := got[0].Value.(string)
		if !ok || len(text) != len(s) {
			t.Fatalf("%q: got %q", s, text)
		}
	})
}
