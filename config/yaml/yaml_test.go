package yaml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/yaml"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func parse(doc string) (string, error) {
	s, err := config.ParseSnapshot(yaml.Format{}, []byte(doc))
	if err != nil {
		return "", err
	}
	return string(s.Bytes()), nil
}

func TestValuesKeepTheirMeaning(t *testing.T) {
	for doc, want := range map[string]string{
		"a: 1\nb: two\nc: [1, x, {d: true}]":                     `{"a":1,"b":"two","c":[1,"x",{"d":true}]}`,
		"t: 2026-11-22T10:00:00Z":                                `{"t":"2026-11-22T10:00:00Z"}`,
		"d: 2026-11-22":                                          `{"d":"2026-11-22"}`,
		"1: a\ntrue: b\n2.5: c":                                  `{"1":"a","2.5":"c","true":"b"}`,
		"n: -0x1F\nm: 0x8000000000000000":                        `{"m":9223372036854775808,"n":-31}`,
		"h: 0x1F\no: 0o17\nu: 1_000":                             `{"h":31,"o":15,"u":1000}`,
		"big: 18446744073709551615":                              `{"big":18446744073709551615}`,
		"id: 98765432109876543210\nm: -98765432109876543_210":    `{"id":98765432109876543210,"m":-98765432109876543210}`,
		"f: 1e3\ng: .5\nz: -0.0":                                 `{"f":1000,"g":0.5,"z":-0}`,
		"off: off\nyes: yes\nn: no":                              `{"n":"no","off":"off","yes":"yes"}`,
		"zip: \"017\"":                                           `{"zip":"017"}`,
		"s: |\n  a\n  b\n":                                       `{"s":"a\nb\n"}`,
		"a: &x {k: 1}\nb: *x":                                    `{"a":{"k":1},"b":{"k":1}}`,
		"d: &d {a: 1, b: 2}\ne: {<<: *d, b: 3}":                  `{"d":{"a":1,"b":2},"e":{"a":1,"b":3}}`,
		"p: &p {a: 1}\nq: &q {a: 2, b: 2}\nr:\n  <<: [*p, *q]\n": `{"p":{"a":1},"q":{"a":2,"b":2},"r":{"a":1,"b":2}}`,
		"\xef\xbb\xbfa: 1":                                       `{"a":1}`,
		"---\na: 1\n...\n":                                       `{"a":1}`,
		"a: ~":                                                   `{"a":null}`,
		"%YAML 1.2\n---\na: 1":                                   `{"a":1}`,
		"# made\n\n%YAML 1.2 # by hand\n---\na: \"%YAML 1.2\"":   `{"a":"%YAML 1.2"}`,
		"%YAML 1.1\n---\na: 1":                                   `{"a":1}`,
		`{"a": "x\/y", "b": "\ud83d\ude00"}`:                     `{"a":"x/y","b":"😀"}`,
		"\xef\xbb\xbf\n[{\"a\": \"x\\/y\"}]":                     `[{"a":"x/y"}]`,
		"{a: 1, 'b': [2]}":                                       `{"a":1,"b":[2]}`,
	} {
		got, err := parse(doc)
		if err != nil || got != want {
			t.Errorf("%q: got %s, %v, want %s", doc, got, err, want)
		}
	}
}

// Errors of documents that can't be read don't repeat their numbers.
func TestSyntaxErrorsHideValues(t *testing.T) {
	for _, doc := range []string{"token: 04711", "token: 08+4711", "token: !!int 4711x", "token: !!float 4711x", "pin: 0_4711", "pin: -04711"} {
		_, err := parse(doc)
		if err != nil && strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v", doc, err)
		}
		if (err == nil) != (doc == "token: 08+4711") { // a string
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestHostileAndMistakenDocumentsAreClearErrors(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	for _, c := range []struct{ name, doc, want string }{
		{"alias bomb", bomb, "too many values, once aliases are expanded"},
		{"alias of itself", "a: &a [*a]", "contains itself"},
		{"deep nesting", strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), "nested deeper"},
		{"very deep nesting", strings.Repeat("[", 1_000_000), "depth"},
		{"second document", "a: 1\n---\nb: 2\n", "line 2, column 1: a second document"},
		{"second document after an end mark", "a: 1\n...\n---\nb: 2\n", "a second document"},
		{"not a number", "a: .nan", "line 1, column 4: .nan is not a number"},
		{"infinity", "x: 1\na: -.inf", "line 2, column 4"},
		{"duplicate key", "a: 1\nb: 2\na: 3\n", `line 3`},
		{"duplicate after becoming a string", "1: a\n\"1\": b\n", `duplicate key "1"`},
		{"duplicate in a mapping below", "m:\n  a: 1\n  a: 2\n", `line 3`},
		{"leading zero", "mode: 0755", "leading zero"},
		{"leading zero before 8 or 9", "zip: 09876", "leading zero"},
		{"own tag", "a: !secret x", "tag !secret is not supported"},
		{"own tag of a list", "a: !own [1]", "tag !own is not supported"},
		{"own tag of a mapping", "a: !own {b: 1}", "tag !own is not supported"},
		{"a mapping that says it is a list", "a: !!seq {b: 1}", "not supported"},
		{"a list that says it is a mapping", "a: !!map [b]", "not supported"},
		{"a number in a merge", "a: {<<: {b: .nan}}", ".nan is not a number"},
		{"a float that is none", "a: !!float x", "not a number"},
		{"an integer that is none", "a: !!int x", "out of range"},
		{"binary", "a: !!binary aGk=", "not supported"},
		{"mapping as key", "? {a: 1}\n: b\n", "a key must be a single value"},
		{"unknown anchor", "a: *nope", "nope"},
		{"merge of a scalar", "a: {<<: 3}", "<< needs a mapping"},
		{"tab", "a:\n\t- b\n", "line 2"},
		{"unclosed at the end", "[a", "line"},
		{"unclosed", "a: 1\nb: [1, 2\nc: 3\n", "line 2"},
		{"not a mapping", "- a\n- b\n", ""},
		{"control character", "a: \x01", ""},
		{"not UTF-8", "a: \xff", ""},
		{"empty key", "a: 1\n\"\": 1", "line 2, column 1: empty key"},
		{"a version to come", "%YAML 1.3\n---\na: 1", "incompatible"},
		{"a version in the text", "a: 1\n%YAML 1.2\n", "line 2"},
		{"duplicate key in JSON", `{"a": 1, "a": 2}`, "duplicate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := config.Memory("m", map[string]int{"n": 1})
			cfg, err := config.New(config.WithSource(m), config.WithDebounce(time.Microsecond))
			if err != nil {
				t.Fatal(err)
			}
			defer cfg.Close()
			start := time.Now()
			m.Update(config.Content{Parts: []config.Part{{Data: []byte(c.doc), Format: yaml.Format{}}}}, nil)
			err = cfg.Reload(t.Context())
			if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
			if got := cfg.Get("n").Int(0); got != 1 {
				t.Errorf("the running value changed to %d", got)
			}
			if err != nil && len(err.Error()) > 300 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			t.Logf("%v: %v", time.Since(start), err)
		})
	}
}

func TestDepthOfADocument(t *testing.T) {
	for depth, ok := range map[int]bool{119: true, 120: true, 121: false} {
		n, err := yaml.Format{}.Parse([]byte("- " + strings.Repeat("- ", depth-1) + "a"))
		if (err == nil) != ok || ok != (n != nil) {
			t.Errorf("%d levels: %v, want success %t", depth, err, ok)
		}
	}
}

// Aliases may make 10 000 values and ten for each byte, and no more.
func TestValuesThatAliasesMake(t *testing.T) {
	for more, ok := range map[int]bool{-1: true, 0: true, 1: false} {
		const lists, items = 200, 98
		rest := 9 + more
		doc := "a: &a [" + strings.Repeat("x,", items) + "]\nb: [" + strings.Repeat("*a,", lists) + strings.Repeat("y,", rest) + "]\n#"
		made := 1 + 1 + items + 1 + lists*(1+1+items) + rest
		doc += strings.Repeat(" ", (made-more-10_000)/10-len(doc))
		if want := 10_000 + 10*len(doc) + more; made != want {
			t.Fatalf("%d values, want %d", made, want)
		}
		_, err := yaml.Format{}.Parse([]byte(doc))
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "too many values") {
			t.Errorf("%d values more than allowed: %v, want success %t", more, err, ok)
		}
	}
}

func TestEmptyDocumentIsNotAnEmptyConfiguration(t *testing.T) {
	for _, doc := range []string{"", "  \n", "# only a comment\n", "---\n"} {
		if _, err := config.New(config.WithSource(source(doc))); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", doc, err)
		}
		c, err := config.New(config.WithSource(source(doc), config.Optional()))
		if err != nil {
			t.Errorf("%q, optional: %v", doc, err)
			continue
		}
		c.Close()
	}
}

func TestOriginIsTheLineOfTheKey(t *testing.T) {
	c, err := config.New(config.WithSource(source("# first\nserver:\n  addr: x\n  hosts:\n    - a\n    - b\n")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for path, line := range map[string]int{"server": 2, "server.addr": 3, "server.hosts": 4, "server.hosts.1": 6} {
		if o, ok := c.Snapshot().Origin(path); !ok || o.Line != line {
			t.Errorf("%s: got %+v, want line %d", path, o, line)
		}
	}
}

func source(doc string) config.Source {
	m := new(config.MemorySource)
	m.Update(config.Content{Parts: []config.Part{{Data: []byte(doc), Format: yaml.Format{}}}}, nil)
	return m
}

func FuzzParse(f *testing.F) {
	f.Add("a: 1\nb: [x, &y {z: 1}, *y]\n<<: {q: 1}")
	f.Add("? a\n: - |\n  b\n")
	f.Add("- !!str 1\n- 0x1f\n- 1e3\n- ~")
	f.Fuzz(func(t *testing.T, doc string) {
		s, err := config.ParseSnapshot(yaml.Format{}, []byte(doc))
		if err != nil {
			if !errors.Is(err, config.ErrInvalid) && !errors.Is(err, config.ErrTooLarge) {
				t.Fatalf("error without a kind: %v", err)
			}
			return
		}
		again, err := config.ParseSnapshot(nil, s.Bytes())
		if err != nil || again.Hash() != s.Hash() {
			t.Fatalf("%s doesn't survive JSON: %v", s.Bytes(), err)
		}
	})
}
