package toml_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/toml"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestValuesKeepTheirMeaning(t *testing.T) {
	for doc, want := range map[string]string{
		"a = 1\nb = 'two'\nc = [1, 2]\n[d]\ne = true":           `{"a":1,"b":"two","c":[1,2],"d":{"e":true}}`,
		"t = 2026-11-22T10:00:00Z":                              `{"t":"2026-11-22T10:00:00Z"}`,
		"d = 2026-11-22\nc = 10:00:00\nl = 2026-11-22T10:00:00": `{"c":"10:00:00","d":"2026-11-22","l":"2026-11-22T10:00:00"}`,
		"h = 0x1F\no = 0o17\nu = 1_000\nf = 1e3":                `{"f":1000,"h":31,"o":15,"u":1000}`,
		"a.b.c = 1\na.b.d = 2":                                  `{"a":{"b":{"c":1,"d":2}}}`,
		"[[s]]\nn = 1\n[[s]]\nn = 2\n[s.x]\ny = 3":              `{"s":[{"n":1},{"n":2,"x":{"y":3}}]}`,
		"'dot.ted' = {x = 1}":                                   `{"dot.ted":{"x":1}}`,
		"\xef\xbb\xbfa = 1":                                     `{"a":1}`,
		"s = '" + strings.Repeat("[", 10_000) + "'":             `{"s":"` + strings.Repeat("[", 10_000) + `"}`,
		"s = '" + strings.Repeat("[]", 10_001) + "'":            `{"s":"` + strings.Repeat("[]", 10_001) + `"}`,
	} {
		s, err := config.ParseSnapshot(toml.Format{}, []byte(doc))
		if err != nil || string(s.Bytes()) != want {
			t.Errorf("%q: got %v, %v, want %s", doc, s, err, want)
		}
	}
}

func TestHostileAndMistakenDocumentsAreClearErrors(t *testing.T) {
	for name, c := range map[string]struct{ doc, want string }{
		"duplicate key":   {"a = 1\nb = 2\na = 3\n", ""},
		"duplicate table": {"[a]\nx=1\n[a]\ny=1\n", ""},
		"nan":             {"x = 1\ny = nan", "line 2"},
		"inf":             {"x = -inf", "line 1"},
		"deep":            {"x = " + strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000), "nested"},
		"very deep":       {"x = " + strings.Repeat("[", 4<<20-10), "nested"},
		"very many keys":  {strings.Repeat("k=1\n", 100_000), "more than 5000 keys"},
		"nan in a list":   {"x = 1\ny = [1, nan]", "line 2"},
		"nan in a table":  {"x = {y = nan}", "line 1"},
		"too deep":        {"x = '" + strings.Repeat("[", 10_001) + "'", "nested too deeply"},
		"syntax":          {"a = 1\nb =\n", "line 2"},
		"not UTF-8":       {"a = '\xff'", ""},
		"out of range":    {"a = 9223372036854775808", ""},
		"many mistakes":   {many("k%02d = nan\n", 50), "line 1, column 1: NaN"}, // the first, each time
		"empty key":       {"a = 1\n'' = 2\n", "line 2, column 1: empty key"},
	} {
		_, err := config.ParseSnapshot(toml.Format{}, []byte(c.doc))
		if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
}

func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// Errors of documents that can't be read don't repeat their numbers.
func TestSyntaxErrorsHideValues(t *testing.T) {
	for _, doc := range []string{"token = 4711471147114711471147114711", "token = 04711", "token = 4711e99999", "token = 4711x", "token = 4711_", "token = 4711-13-01", "token = '4711"} {
		_, err := config.ParseSnapshot(toml.Format{}, []byte(doc))
		if !errors.Is(err, config.ErrInvalid) || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestEmptyDocumentIsNotAnEmptyConfiguration(t *testing.T) {
	for doc, empty := range map[string]bool{"": true, " \n": true, "# only a comment\n": true, "[a]": false} {
		if n, err := (toml.Format{}).Parse([]byte(doc)); err != nil || (n == nil) != empty {
			t.Errorf("%q: %v, %v, want nothing %t", doc, n, err, empty)
		}
	}
}

// What costs the parser time is bounded in every spelling: at the limit it is
// taken, above it refused.
func TestKeysAreCountedInEverySpelling(t *testing.T) {
	for name, doc := range map[string]func(n int) string{
		"keys":               func(n int) string { return many("k%d=1\n", n) },
		"tables":             func(n int) string { return many("[t%d]\n", n) },
		"arrays of tables":   func(n int) string { return many("[[t%d]]\n", n) },
		"dotted keys":        func(n int) string { return many("k%d.a=1\n", n/2) + strings.Repeat("z=1\n", n%2) },
		"dotted tables":      func(n int) string { return many("[t%d.a]\n", n/2) + strings.Repeat("[z]\n", n%2) },
		"inline tables":      func(n int) string { return "x={" + strings.TrimSuffix(many("k%d=1,", n-1), ",") + "}" },
		"tables in an array": func(n int) string { return "x=[" + many("{k%d=1},", n-1) + "]" },
	} {
		if _, err := config.ParseSnapshot(toml.Format{}, []byte(doc(5_000))); err != nil {
			t.Errorf("5000 %s: %v", name, err)
		}
		if _, err := config.ParseSnapshot(toml.Format{}, []byte(doc(5_001))); err == nil || !strings.Contains(err.Error(), "more than 5000 keys") {
			t.Errorf("5001 %s: got %v, want them refused", name, err)
		}
	}
	if _, err := config.ParseSnapshot(toml.Format{}, []byte("x=["+strings.Repeat("1.5,", 50_000)+"]\ny='"+strings.Repeat("a=b [c]", 50_000)+"'")); err != nil {
		t.Errorf("what is no key counts: %v", err)
	}
}

func TestOriginIsTheLineOfTheKey(t *testing.T) {
	s, err := config.ParseSnapshot(toml.Format{}, []byte("# first\na.b = 1\n[server]\naddr = 'x'\n\n[[s]]\nn = 1\n[[s]]\nn = 2\n[s.x]\ny = 3\nl = [1, {z = 2}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, line := range map[string]int{"a.b": 2, "server": 3, "server.addr": 4, "s.0.n": 7, "s.1.n": 9, "s.1.x": 10, "s.1.x.y": 11, "s.1.x.l": 12, "s.1.x.l.0": 12, "s.1.x.l.1.z": 12} {
		if o, ok := s.Origin(path); !ok || o.Line != line {
			t.Errorf("%s: got %+v, want line %d", path, o, line)
		}
	}
}

func TestOriginInArraysOfTables(t *testing.T) {
	s, err := config.ParseSnapshot(toml.Format{}, []byte("[[s]]\n[[s.t]]\nv = 1\n[[s.t]]\nv = 2\n[[s]]\n[[s.t]]\nv = 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	for path, line := range map[string]int{"s.0": 1, "s.0.t.0": 2, "s.0.t.0.v": 3, "s.0.t.1.v": 5, "s.1": 6, "s.1.t.0.v": 8} {
		if o, ok := s.Origin(path); !ok || o.Line != line {
			t.Errorf("%s: got %+v, want line %d", path, o, line)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a = 1\n[b]\nc.d = [1, {e = 'x'}]\n[[f]]\ng = 1e3")
	f.Fuzz(func(t *testing.T, doc string) {
		s, err := config.ParseSnapshot(toml.Format{}, []byte(doc))
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
