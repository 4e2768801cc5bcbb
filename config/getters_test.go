package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/config"
)

// Nothing there gives the default and is no mistake; another type gives it and is one.
func TestEachGetterTellsNothingFromAnotherType(t *testing.T) {
	c, _ := open(t, `{"x":{"k":[1]}}`)
	fixed, err := config.ParseSnapshot(nil, []byte(`{"x":{"k":[1]}}`)) // which nobody asks for mistakes
	if err != nil {
		t.Fatal(err)
	}
	for i, get := range []func(config.Value) (got, def any){
		func(v config.Value) (any, any) { return v.String("d"), "d" },
		func(v config.Value) (any, any) { return v.Int(3), 3 },
		func(v config.Value) (any, any) { return v.Int64(3), int64(3) },
		func(v config.Value) (any, any) { return v.Float64(3), 3.0 },
		func(v config.Value) (any, any) { return v.Bool(true), true },
		func(v config.Value) (any, any) { return v.Duration(3), time.Duration(3) },
		func(v config.Value) (any, any) { return v.Strings([]string{"d"}), []string{"d"} },
		func(v config.Value) (any, any) {
			return v.StringMap(map[string]string{"d": "d"}), map[string]string{"d": "d"}
		},
	} {
		before := c.Health().Misreads
		for name, v := range map[string]config.Value{"nothing": c.Get("none"), "no value": {}, "of a snapshot": fixed.Get("x")} {
			if got, def := get(v); !reflect.DeepEqual(got, def) {
				t.Errorf("%T of %s: got %v", def, name, got)
			}
		}
		if h := c.Health(); len(h.Misreads) != len(before) {
			t.Errorf("getter %d: nothing is taken for a mistake: %v", i, h.Misreads)
		}
		got, def := get(c.Get("x"))
		if h := c.Health(); !reflect.DeepEqual(got, def) || len(h.Misreads) != len(before)+1 {
			t.Errorf("%T of an object: got %v, mistakes %v, want one more than %v", def, got, h.Misreads, before)
		}
	}
}

func TestNothingIsShownAsNothing(t *testing.T) {
	c, _ := open(t, `{"a":1}`)
	for name, v := range map[string]config.Value{"nothing": c.Get("none"), "no value": {}} {
		b, err := json.Marshal(v)
		if err != nil || string(b) != "null" || v.Len() != 0 || v.Show() != "(nothing)" || len(v.Bytes()) != 0 && string(v.Bytes()) != "null" {
			t.Errorf("%s: %s, %v, %d, %s, %s", name, b, err, v.Len(), v.Show(), v.Bytes())
		}
	}
}

func TestKeysOfLargeObjectsAreFound(t *testing.T) {
	for _, n := range []int{8, 9, 40} {
		m := map[string]int{}
		for i := range n {
			m[fmt.Sprintf("k%02d", i)] = i
		}
		doc, _ := json.Marshal(m)
		s, err := config.ParseSnapshot(nil, doc)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range m {
			if got := s.Get(key).Int(-1); got != want {
				t.Errorf("%d keys: %s is %d, want %d", n, key, got, want)
			}
		}
		for _, key := range []string{"k", "k00a", "z", ""} {
			if key != "" && s.Get(key).Exists() {
				t.Errorf("%d keys: %q exists", n, key)
			}
		}
	}
}

func TestWhoBreaksOffIsAskedForNoMore(t *testing.T) {
	s, err := config.ParseSnapshot(nil, []byte(`{"a":{"b":1,"c":{"d":2}},"e":3}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a.b", "a.c.d", "e"}
	for n := range len(want) + 1 {
		var got []string
		for path := range s.All() {
			if len(got) == n {
				break
			}
			got = append(got, path)
		}
		if !slices.Equal(got, want[:n]) {
			t.Errorf("the first %d: got %v", n, got)
		}
	}
}

func TestDiffSaysWhatCameWentAndChanged(t *testing.T) {
	c, m := open(t, `{"a":1,"b":{"x":1,"y":2},"c":[1],"same":1}`)
	old := c.Snapshot()
	m.Set([]byte(`{"b":{"x":2,"z":3},"c":[1],"d":4,"same":1}`))
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes := func(a, b config.Value) (list []string) {
		for _, ch := range config.Diff(a, b) {
			list = append(list, fmt.Sprintf("%s: %s to %s in %d", ch.Path, ch.Old.Show(), ch.New.Show(), ch.Version))
		}
		return list
	}
	v := c.Snapshot().Version()
	want := []string{"a: 1 to (nothing)", "b.x: 1 to 2", "b.y: 2 to (nothing)", "b.z: (nothing) to 3", "d: (nothing) to 4"}
	for i := range want {
		want[i] += fmt.Sprintf(" in %d", v)
	}
	if got := changes(old.Get(""), c.Get("")); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := changes(c.Get(""), c.Get("")); len(got) != 0 {
		t.Errorf("of the same: %q", got)
	}
	if got := changes(old.Get("a"), config.Value{}); !slices.Equal(got, []string{"a: 1 to (nothing) in 0"}) {
		t.Errorf("of a value and none: %q", got)
	}
}

func TestErrorsOfEditsSayWhichTextIsWrong(t *testing.T) {
	twice := []byte(`{"a":1,"a":2}`)
	_, document := config.MergePatch(twice, []byte(`{}`))
	_, patch := config.MergePatch([]byte(`{}`), twice)
	_, value := config.SetPath([]byte(`{}`), "a", json.RawMessage(twice))
	_, edited := config.SetPath(twice, "b", 1)
	_, marshal := config.SetPath([]byte(`{}`), "a", make(chan int))
	for says, err := range map[string]error{"document: ": document, "patch: ": patch, "value: ": value, "duplicate key": edited, "chan int": marshal} {
		if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func TestSyntaxErrorsSayWhatIsKnown(t *testing.T) {
	for want, e := range map[string]config.SyntaxError{
		"line 3, column 7: p": {Line: 3, Column: 7, Problem: "p"},
		"line 3: p":           {Line: 3, Problem: "p"},
		"p":                   {Column: 7, Problem: "p"},
	} {
		if e.Error() != want || !errors.Is(&e, config.ErrInvalid) {
			t.Errorf("got %v, want %s", &e, want)
		}
	}
	for doc, where := range map[string]string{"{\"a\":1,\n\"a\":2}": "first on line 1", `{"a":1,"a":2}`: ""} {
		_, err := config.ParseSnapshot(nil, []byte(doc))
		if err == nil || strings.Contains(err.Error(), "first on line") != (where != "") || !strings.Contains(err.Error(), where) {
			t.Errorf("%q: %v, want %q", doc, err, where)
		}
	}
}

// A long text is cut between its letters.
func TestErrorsCutTextsBetweenLetters(t *testing.T) {
	for _, before := range []string{"", "x", "xx"} {
		s, err := config.ParseSnapshot(nil, []byte(`{"port":"`+before+strings.Repeat("é€", 20)+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Get("").Scan(new(struct{ Port int }))
		if err == nil || !utf8.ValidString(err.Error()) || !strings.Contains(err.Error(), "…") {
			t.Errorf("got %q", err)
		}
	}
}

// What a secret field hides does not go on to the next one.
func TestAFieldBehindASecretOneIsShown(t *testing.T) {
	type T struct {
		Pin  string `config:"pin,secret"`
		Port int
	}
	s, err := config.ParseSnapshot(nil, []byte(`{"pin":"hunter2","port":"eighty"}`))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Get("").Scan(new(T))
	if err == nil || !strings.Contains(err.Error(), `port: want int, got string "eighty"`) || strings.Contains(err.Error(), hunter) {
		t.Errorf("got %v", err)
	}
}

func TestSecretPathsHideThemselvesAlone(t *testing.T) {
	c, _ := open(t, `{"place":{"odd":"hunter2","even":"plain"},"list":[{"odd":"hunter2"}],"other":{"odd":"plain2"}}`, config.WithSecrets("place.odd", "list.*.odd"))
	if got, want := c.Snapshot().String(), `{"list":[{"odd":"[redacted]"}],"other":{"odd":"plain2"},"place":{"even":"plain","odd":"[redacted]"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// texted decodes itself from a text, and jsoned from JSON, though nothing else could.
type (
	texted chan int
	jsoned chan int
	both   chan int
)

func (x *texted) UnmarshalText(b []byte) error { *x = make(texted, len(b)); return nil }
func (x *jsoned) UnmarshalJSON(b []byte) error { *x = make(jsoned, len(b)); return nil }
func (x *both) UnmarshalText(b []byte) error   { *x = make(both, len(b)); return nil }
func (x *both) UnmarshalJSON(b []byte) error   { *x = make(both, len(b)); return nil }

func TestTypesThatDecodeThemselves(t *testing.T) {
	type T struct {
		A texted
		B jsoned
		C both
		D [2]int `default:"1,2"`
	}
	s, err := config.ParseSnapshot(nil, []byte(`{"a":"xx","b":[1],"c":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.As[T](s.Get(""))
	if err != nil || cap(got.A) != 2 || cap(got.B) != 3 || got.C == nil || got.D != [2]int{1, 2} {
		t.Errorf("got %+v, %v", got, err)
	}
	b, err := config.SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := config.ParseSnapshot(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"properties.a": `{"type":"string"}`, "properties.b": `{}`, "properties.c": `{}`, "properties.d.default": `[1,2]`,
	} {
		if got := string(schema.Get(path).Bytes()); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestTagsOfFieldsThatCannotBe(t *testing.T) {
	for says, schema := range map[string]func() ([]byte, error){
		"": config.SchemaOf[struct {
			A int `config:"-"`
			B int `config:"-,required"` // is called "-"
			c int
		}],
		"c has a config tag but is not exported": config.SchemaOf[struct {
			c int `config:",secret"`
		}],
		"both required and a default": config.SchemaOf[struct {
			A int `config:"a,required" default:"1"`
		}],
		`default: `: config.SchemaOf[struct {
			A int `default:"x"`
		}],
		`B: another field is named "a"`: config.SchemaOf[struct {
			A int `config:"a"`
			B int `config:"a"`
		}],
		"A: ":                          config.SchemaOf[struct{ A []chan int }],
		"a map's keys must be strings": config.SchemaOf[struct{ A []map[int]int }],
	} {
		b, err := schema()
		if says == "" && (err != nil || !strings.Contains(string(b), `"-"`) || strings.Contains(string(b), `"a"`)) {
			t.Errorf("got %s, %v", b, err)
		}
		if says != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), says)) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// A slip of the pen is only looked for in keys of a length that people write.
func TestLongKeysAreNotGuessed(t *testing.T) {
	type T struct {
		A int `config:"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"` // 64
	}
	for n, guessed := range map[int]bool{63: true, 65: false, 62: true} {
		s, err := config.ParseSnapshot(nil, []byte(`{"`+strings.Repeat("a", n)+`":1}`))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Get("").Scan(new(T))
		if err == nil || strings.Contains(err.Error(), "did you mean") != guessed {
			t.Errorf("%d letters: %v", n, err)
		}
	}
}
