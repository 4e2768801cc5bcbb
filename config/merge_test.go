package config_test

import (
	"encoding/json"
	"testing"

	"github.com/micro/go-platform/config"
)

// The cases of RFC 7396, appendix A.
var mergePatches = []struct{ original, patch, result string }{
	{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
	{`{"a":"b"}`, `{"a":null}`, `{}`},
	{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
	{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
	{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
	{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
	{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
	{`["a","b"]`, `["c","d"]`, `["c","d"]`},
	{`{"a":"b"}`, `["c"]`, `["c"]`},
	{`{"a":"foo"}`, `null`, `null`},
	{`{"a":"foo"}`, `"bar"`, `"bar"`},
	{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
	{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
	{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
}

func TestMergeFollowsRFC7396(t *testing.T) {
	for _, c := range mergePatches {
		got, err := config.MergePatch([]byte(c.original), []byte(c.patch))
		if err != nil || string(got) != c.result {
			t.Errorf("%s patched with %s: got %s, %v, want %s", c.original, c.patch, got, err, c.result)
		}
	}
}

// reference is the pseudo code of RFC 7396 section 2.
func reference(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(t, k)
		} else {
			t[k] = reference(t[k], v)
		}
	}
	return t
}

func FuzzMergeAgainstTheRFCsPseudoCode(f *testing.F) {
	for _, c := range mergePatches {
		f.Add(c.original, c.patch)
	}
	f.Add(`{"a":{"b":1,"c":{"d":2}},"x":[{"y":null}]}`, `{"a":{"c":null,"e":{"f":null,"g":1}},"x":{"z":0}}`)
	f.Fuzz(func(t *testing.T, document, patch string) {
		got, err := config.MergePatch([]byte(document), []byte(patch))
		if err != nil {
			return
		}
		var d, p any
		if json.Unmarshal([]byte(document), &d) != nil || json.Unmarshal([]byte(patch), &p) != nil {
			t.Fatalf("accepted %q or %q, which encoding/json refuses", document, patch)
		}
		want, _ := json.Marshal(reference(d, p))
		var g any
		if err := json.Unmarshal(got, &g); err != nil {
			t.Fatalf("result %s: %v", got, err)
		}
		if again, _ := json.Marshal(g); string(again) != string(want) {
			t.Fatalf("%s patched with %s: got %s, want %s", document, patch, again, want)
		}
	})
}
