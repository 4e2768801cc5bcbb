package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/strictjson"
)

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}`, ""},
		{`{"a":1,"a":2}`, "occurs twice"},
		{`[{"a":1,"a":2}]`, "occurs twice"},
		{`{"a":1,"\u0061":2}`, "occurs twice"},
		{`{"a":1,"A":2}`, ""},
		{`"\ud83d\ude00"`, ""},
		{`"\ud83d"`, "malformed \\u escape"},
		{"\"\xff\"", "not valid UTF-8"},
		{"{\"\xff\":1}", "not valid UTF-8"},
		{` 1 `, ""},
		{`1 2`, "unexpected '2' after the document"},
		{``, "unexpected end"},
		{`[[[1]]]`, ""},
		{`[[[[1]]]]`, "nested deeper than 3 levels"},
		{`[-0,0.5,1e9,1E-1,10]`, ""},
		{`[0,9,-1]`, ""},
		{`/`, "unexpected '/', want a value"},
		{`:`, "unexpected ':', want a value"},
		{`[01]`, "malformed number"},
		{`[-]`, "malformed number"},
		{`[1.]`, "malformed number"},
		{`[1e]`, "malformed number"},
		{`[1,]`, "want a value"},
		{`{"a":1,}`, "want a key in quotes"},
		{`[1}`, "want ',' or ']'"},
		{`[1`, "unexpected end of document, want ',' or ']'"},
		{` [ 1 , 2 ] `, ""},
		{"{ \"a\" :\n1\t, \"b\": { } }\r", ""},
		{`[ ]`, ""},
		{`{`, "unexpected end of document, want a key in quotes"},
		{`{"a"`, "unexpected end of document, want ':'"},
		{`{"a" 1}`, "unexpected '1', want ':'"},
		{`{"a":`, "unexpected end of document"},
		{`tru`, "unexpected 't', want a value"},
		{`"abc`, "text without closing quote"},
		{`"ab\nc`, "text without closing quote"},
		{`"ab\`, "text without closing quote"},
		{`"`, "text without closing quote"},
		{`"a b\n c"`, ""},
		{"\"a\x1fb\"", "control character '\\x1f' in text"},
		{"\"a\\n\x1fb\"", "control character '\\x1f' in text"},
		{"\"a\\n\xff\"", "not valid UTF-8"},
		{`"\a"`, "unknown escape 'a'"},
		{`"\u0099\u00aa\u00AA\u00ff\u00FF"`, ""},
		{`"\u00g0"`, "malformed \\u escape"},
		{`"\u00G0"`, "malformed \\u escape"},
		{`"\u00/0"`, "malformed \\u escape"},
		{`"\u00:0"`, "malformed \\u escape"},
		{`"\u00@0"`, "malformed \\u escape"},
		{"\"\\u00`0\"", "malformed \\u escape"},
		{`"\u123`, "malformed \\u escape"},
		{`"\u1234`, "text without closing quote"},
		{`"\ud83d\u0041"`, "malformed \\u escape"},
		{`"\ude00\ud83d"`, "malformed \\u escape"},
		{`"\ud83d\ude0"`, "malformed \\u escape"},
	} {
		text := make([]byte, len(c.text)) // with nothing behind it
		copy(text, c.text)
		err := strictjson.Check(text, 3)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestUnmarshalSeesNamesAsEncodingJSONDoes(t *testing.T) {
	var v struct{ Issuer string }
	err := strictjson.Unmarshal([]byte(`{"issuer":"us","x":{"issuer":"them"}}`), 2, &v)
	if err != nil || v.Issuer != "us" {
		t.Errorf("got %+v, %v", v, err)
	}
	for _, bad := range []string{`{"issuer":"us","ISSUER":"them"}`, `{"issuer":"us","issuer":"them"}`, `{"issuer":"us","i\u017f\u017fuer":"them"}`} {
		var v struct{ Issuer string }
		err := strictjson.Unmarshal([]byte(bad), 2, &v)
		if err == nil || v.Issuer != "" {
			t.Errorf("%s: read %q, %v", bad, v.Issuer, err)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	err := strictjson.Check([]byte("{\n \"a\": 1,\n \"b\": x}"), 2)
	var e *strictjson.Error
	if !errors.As(err, &e) || e.Line != 3 || e.Column != 7 || e.Offset != 17 {
		t.Errorf("got %#v", err)
	}
}

// What this reader takes encoding/json takes too, and what it refuses of valid JSON
// is one of the things that the package comment names.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true,{"b":"\u00e9"}]}`, `{"a":1,"a":2}`, `-0.1e+5`, `"\ud800"`, `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := strictjson.Check(b, 50)
		switch {
		case err == nil && !json.Valid(b):
			t.Fatalf("accepted %q", b)
		case err != nil && json.Valid(b):
			for _, reason := range []string{"occurs twice", "UTF-8", `\u escape`, "nested deeper"} {
				if strings.Contains(err.Error(), reason) {
					return
				}
			}
			t.Fatalf("refused %q: %v", b, err)
		}
	})
}
