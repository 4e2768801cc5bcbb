package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/micro/go-platform/config"
)

func TestJSONErrorsSayLineAndColumn(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{"{\n  \"a\": 1,\n  \"b\": }", `line 3, column 8: unexpected '}', want a value`},
		{"{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", `line 3, column 7: duplicate key "a", first on line 1`},
		{`{"a": 01}`, `line 1, column 7: malformed number`},
		{`{"a": NaN}`, `unexpected 'N'`},
		{`{"a": 1e999}`, `line 1, column 7: number out of range`},
		{`{"a": -}`, `malformed number`},
		{`{"a" 1}`, `want ':' after key "a"`},
		{`{a: 1}`, `want a key in quotes`},
		{`{"a": 1,}`, `want a key in quotes`},
		{`[1 2]`, `want ',' or ']'`},
		{"{\"a\": \"x\ny\"}", `control character '\n' in text`},
		{`{"a": "\q"}`, `unknown escape 'q'`},
		{`{"a": "\ud800"}`, `malformed \u escape`},
		{`{"a": "\udc00\ud800"}`, `malformed \u escape`},
		{`{"a": "\u12"}`, `malformed \u escape`},
		{"{\"a\": \"\xff\"}", `not valid UTF-8`},
		{"{\"a\": \"\\n\xff\"}", `not valid UTF-8`},
		{`{"a": "x`, `text without closing quote`},
		{`{"a": "x\`, `text without closing quote`},
		{`{"a": 1} {}`, `unexpected '{' after the document`},
		{`{"a": tru}`, `unexpected 't'`},
		{`{"a":`, `unexpected end of document`},
		{strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), `nested deeper than 100 levels`},
		{strings.Repeat("[", 3<<20), `nested deeper than 100 levels`},
		{`{"": 1}`, `empty key`},
		{"[" + strings.Repeat("1,", 600_000) + "1]", `more than 500000 values`},
	} {
		_, err := config.ParseSnapshot(nil, []byte(c.doc))
		if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: got %v, want ErrInvalid with %q", c.doc, err, c.want)
		}
	}
	if _, err := config.ParseSnapshot(nil, []byte(`"`+strings.Repeat("x", 10<<20)+`"`)); !errors.Is(err, config.ErrTooLarge) {
		t.Errorf("10 MB value: got %v, want ErrTooLarge", err)
	}
}

func FuzzJSONAgainstTheStandardLibrary(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n",true,null],"b":{}}`, `"\\"`, `[[],{}]`, ` 0 `, `{"a":1,"a":2}`, "\xef\xbb\xbf{}", `1e400`, `-0`, `{"a\u0000":"\u2028"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := config.JSON{}.Parse(data)
		plain := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
		if err != nil {
			if json.Valid(plain) && utf8.Valid(plain) && !bytes.Contains(plain, []byte(`\u`)) && bytes.Count(plain, []byte("["))+bytes.Count(plain, []byte("{")) < 100 && len(plain) < 1000 {
				t.Fatalf("refused %q: %v", data, err)
			}
			return
		}
		if n == nil {
			return
		}
		var want any
		d := json.NewDecoder(bytes.NewReader(plain))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("accepted %q, encoding/json says %v", data, err)
		}
		s, err := config.ParseSnapshot(nil, data)
		if err != nil {
			return // numbers out of range, duplicate or empty keys
		}
		var got any
		d = json.NewDecoder(bytes.NewReader(s.Bytes()))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			t.Fatalf("wrote %q: %v", s.Bytes(), err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v", data, got, want)
		}
	})
}
