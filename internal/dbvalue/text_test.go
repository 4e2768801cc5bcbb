package dbvalue

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStringsAreJSONs(t *testing.T) {
	for c := range rune(0x800) {
		s := "a" + string(c) + "b"
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendString(nil, s); string(got) != string(want) {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

func TestMetadataAsText(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	for want, md := range map[string]map[string]any{
		`{}`: nil,
		`{"a":"x","b":1,"c":true,"d":1.5,"e":2.0,"f":null}`:           {"f": nil, "e": 2.0, "d": 1.5, "c": true, "b": int64(1), "a": "x"},
		`{"l":["x","y"],"t":{"@time":"2030-01-02T03:04:05.000006Z"}}`: {"t": at, "l": []string{"x", "y"}},
		`{"l":[]}`:     {"l": []string{}},
		`{"n":1e+300}`: {"n": 1e300},
	} {
		b, err := EncodeMetadata(md)
		if err != nil || string(b) != want {
			t.Errorf("%v is %s, %v, want %s", md, b, err, want)
		}
		if got, err := DecodeMetadata(b); err != nil || !reflect.DeepEqual(got, md) {
			t.Errorf("%s is read as %v, %v", b, got, err)
		}
	}
	if b, err := EncodeMetadata(map[string]any{"a": struct{}{}}); err == nil || b != nil || !strings.Contains(err.Error(), "no metadata value") {
		t.Errorf("a struct: %s, %v", b, err)
	}
	for text, want := range map[string]string{
		`{"a":{}}`: "an object", `{"a":{"@time":1}}`: "an object", `{"a":{"@time":"2030-01-02T03:04:05Z","b":1}}`: "an object", `{"a":{"@time":"x"}}`: "cannot parse",
		`{"a":[1]}`: "a list with", `{"a":1e999}`: "number", `{"a":92233720368547758070}`: "out of range", `{`: "metadata: ", `[]`: "metadata: ",
	} {
		if md, err := DecodeMetadata([]byte(text)); err == nil || md != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", text, md, err, want)
		}
	}
}

// What is plain is read without encoding/json; the nearest that is not is left to it.
func TestWhatIsPlain(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `{"a":"b"}`: true, `{"a":""}`: true, `{"":1}`: true, `{"a":0}`: true, `{"a":-1}`: true, `{"a":true,"b":false}`: true, `{"a":"é"}`: true,
		`{"a":123456789012345678}`: true, `{"a":-12345678901234567}`: true, `{"a":"~"}`: true,
		``: false, `{`: false, `}`: false, `x"a":1}`: false, `{"a":1x`: false, `{"a"}`: false, `{"a"1}`: false, `{"a":}`: false, `{"a":1,}`: false, `{a:1}`: false,
		`{"a":1234567890123456789}`: false, `{"a":00}`: false, `{"a":-}`: false, `{"a":-0}`: false, `{"a":+1}`: false, `{"a":1.5}`: false, `{"a":"b}`: false, `{"a":"b"x}`: false, `{"a":"b"x"c":1}`: false,
		`{"a:1}`: false, "{\"a\":\"\x80\"}": false, "{\"a\":\"\x1f\"}": false, `{"a":"\n"}`: false, `{"a":null}`: false,
	} {
		if md, ok := decodePlain(text); ok != want || !ok && md != nil {
			t.Errorf("%q: %v, %v, want %v", text, md, ok, want)
		}
	}
}

func TestLeastTextAboveAPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "az": "a{", "a\U0010ffff": "b", "\ud7ff": "\ue000", "a\ud7ff": "a\ue000", "\ue000": "\ue001", "\x7f": "\u0080", "": "", "\U0010ffff": "", "\U0010ffff\U0010ffff": ""} {
		if got, ok := Successor(prefix); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", prefix, got, ok, want)
		}
	}
}
