package dbvalue

import (
	"reflect"
	"testing"
)

// slowDecode is DecodeMetadata by encoding/json alone: a space before the
// object is not plain.
func slowDecode(b []byte) (map[string]any, error) { return DecodeMetadata(append([]byte{' '}, b...)) }

func FuzzPlainMetadataIsReadAsJSONIs(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":"b"}`, `{"a":1,"b":-2,"c":true,"d":false}`, `{"a":"é","a":"twice"}`, `{"a":"\u0000"}`, `{"a":1.5}`, `{"a":0}`, `{"a":-0}`, `{"a":01}`, `{"a":+1}`, `{"a":-}`,
		`{"a":"x,y}"}`, `{"a":"b"`, `{"a":}`, `{"a":"b",}`, `{,}`, `{"a" :1}`, `{"a":["x"]}`, `{"a":123456789012345678}`, `{"a":9223372036854775807}`, `{"a":92233720368547758070}`,
		`{"a":{"@time":"2030-01-01T00:00:00Z"}}`, "{\"a\":\"\xff\"}", "{\"a\":\"\n\"}", `{"":""}`, `{"a":""b"}`, `{"a":1e3}`, `{"a":0x1}`, `{"a":1_0}`, `{"a":-1.5}`, `{"a":--1}`, `{"a":nulls}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodePlain(string(b))
		if !ok {
			return
		}
		want, err := slowDecode(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, want %#v, %v", b, got, want, err)
		}
	})
}

func TestCommonMetadataIsPlain(t *testing.T) {
	want := map[string]any{"owner": "ann é", "n": int64(-42), "paid": true}
	b, err := EncodeMetadata(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := decodePlain(string(b)); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, %v, want %v", b, got, ok, want)
	}
}
