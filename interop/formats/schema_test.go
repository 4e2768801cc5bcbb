package formats_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	google "github.com/google/jsonschema-go/jsonschema"
	"github.com/micro/go-platform/config"
	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
)

// values are tried for each type, and what lies within one more object or array.
var values = []string{
	`null`, `true`, `false`, `""`, `"x"`, `"true"`, `"a"`, `"b"`, `"a,b"`,
	`0`, `-0`, `1`, `-1`, `2`, `3`, `10`, `11`, `80.0`, `1.5`, `1e0`, `15e-1`, `0.1e1`, `1e18`, `1e19`, `1e20`, `1e39`, `-1e39`, `1e300`, `1e-7`, `0.5`, `0.49`,
	`127`, `128`, `-128`, `-129`, `255`, `256`, `32767`, `32768`, `65535`, `65536`, `2147483647`, `2147483648`, `-2147483648`, `-2147483649`, `4294967295`, `4294967296`,
	`9007199254740993`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `-9223372036854775809`, `18446744073709551615`, `18446744073709551616`,
	`3.4028234663852886e38`, `3.5e38`,
	`"5s"`, `"1.5h"`, `"-3ms"`, `"+1us"`, `"1µs"`, `"1μs"`, `"0"`, `"00"`, `"5"`, `"5S"`, `"1 s"`, `" 5s"`, `"5s\n"`, `"1h30m"`, `".5s"`, `"."`, `".s"`, `"1.s"`, `"999ms"`, `"1m"`, `"61s"`,
	`"2562047h47m16.854775807s"`, `"2562047h47m16.854775808s"`, `"9999999h"`, `"99999999999999999999h"`, `"-2562047h47m16.854775808s"`,
	`"2026-11-22T10:00:00Z"`, `"2026-11-22T10:00:00.5+01:00"`, `"2026-11-22t10:00:00z"`, `"2026-11-22 10:00:00Z"`, `"2026-02-29T10:00:00Z"`, `"2024-02-29T10:00:00Z"`, `"2026-13-01T10:00:00Z"`, `"2026-11-22T24:00:00Z"`, `"2026-11-22T10:00:60Z"`, `"2026-12-31T23:59:60Z"`, `"2026-11-22T10:00:00,5Z"`, `"2026-11-22T10:00:00+24:00"`, `"2026-11-22T10:00:00+23:59"`, `"2026-11-22T10:00:00+01:60"`, `"2026-11-22T10:00Z"`, `"2026-11-22"`,
	`"aGk="`, `"aGk"`, `"aG=="`, `"a"`, `"aGk=\n"`, `"a-_="`, `"YWJj"`, `"====" `,
	`"10.0.0.1"`, `"::1"`,
	`[]`, `[1]`, `[1,2]`, `[1,2,3]`, `["a"]`, `["a",1]`, `[null]`, `[[1]]`, `[{}]`, `[{"n":1}]`, `[{"n":0}]`, `["5s"]`, `["5"]`,
	`{}`, `{"n":1}`, `{"n":0}`, `{"n":"1"}`, `{"n":1,"x":1}`, `{"x":1}`, `{"x":"y"}`, `{"x":null}`, `{"n":null}`, `{"s":"a"}`, `{"s":"c"}`, `{"s":""}`, `{"x":{"n":1}}`, `{"n":1,"more":[{"n":2}]}`, `{"n":1,"more":[{"n":0}]}`, `{"n":1,"more":[{}]}`, `{"n":1,"more":null}`,
}

type limited struct {
	N int    `min:"1" max:"10"`
	S string `enum:"a,b" default:"a"`
}

type recursive struct {
	N    int `config:"n,required" min:"1"`
	More []recursive
}

type level string

// TestSchemaSaysWhatScanTakes: SchemaOf takes what Scan does and nothing else,
// in the eyes of two validators that others wrote.
func TestSchemaSaysWhatScanTakes(t *testing.T) {
	agree[bool](t)
	agree[string](t)
	agree[level](t)
	agree[config.Secret](t)
	agree[int](t)
	agree[int8](t)
	agree[int16](t)
	agree[int32](t)
	agree[int64](t)
	agree[uint](t)
	agree[uint8](t)
	agree[uint16](t)
	agree[uint32](t)
	agree[uint64](t)
	agree[float32](t)
	agree[float64](t)
	agree[time.Duration](t)
	agree[time.Time](t)
	agree[[]byte](t)
	agree[*int](t)
	agree[*limited](t)
	agree[[]int](t)
	agree[[2]int](t)
	agree[[]string](t)
	agree[[]time.Duration](t)
	agree[map[string]int](t)
	agree[map[string]string](t)
	agree[map[string]limited](t)
	agree[[]limited](t)
	agree[limited](t)
	agree[recursive](t)
	agree[struct{ V recursive }](t)
	agree[any](t)
	agree[json.RawMessage](t)
	tags(t)
}

// tags checks fields with each tag.
func tags(t *testing.T) {
	agreeOn[struct {
		V int `config:"v,required"`
	}](t)
	agreeOn[struct {
		V *int `config:"v,required"`
	}](t)
	agreeOn[struct {
		V []int `config:"v,required"`
	}](t)
	agreeOn[struct {
		V int `min:"1"`
	}](t)
	agreeOn[struct {
		V int `min:"0" max:"10"`
	}](t)
	agreeOn[struct {
		V int `min:"2" max:"10" default:"3"`
	}](t)
	agreeOn[struct {
		V uint64 `max:"9223372036854775807"`
	}](t)
	agreeOn[struct {
		V int64 `min:"-9223372036854775807"`
	}](t)
	agreeOn[struct {
		V float64 `min:"0.5" max:"10"`
	}](t)
	agreeOn[struct {
		V float32 `min:"0.1" max:"10"`
	}](t)
	agreeOn[struct {
		V *int `min:"1"`
	}](t)
	agreeOn[struct {
		V **float64 `max:"10"`
	}](t)
	agreeOn[struct {
		V *time.Duration `min:"1s"`
	}](t)
	agreeOn[struct {
		V *int `enum:"1,2"`
	}](t)
	agreeOn[struct {
		V *recursive
	}](t)
	agreeOn[struct {
		V float32 `max:"0.5" min:"-0.1"`
	}](t)
	agreeOn[struct {
		V float32 `enum:"1.5,2"`
	}](t)
	agreeOn[struct {
		V uint8 `enum:"0,80"`
	}](t)
	agreeOn[struct {
		V []int `default:"1,2"`
	}](t)
	agreeOn[struct {
		V limited `config:"v,required"`
	}](t)
	agreeOn[struct {
		V *limited `config:"v,required"`
	}](t)
	agreeOn[struct {
		V map[string]*limited
	}](t)
	agreeOn[struct {
		V []*recursive
	}](t)
	agreeOn[struct {
		V string `enum:"a,b"`
	}](t)
	agreeOn[struct {
		V string `enum:",a"`
	}](t)
	agreeOn[struct {
		V int `enum:"1,2"`
	}](t)
	agreeOn[struct {
		V float64 `enum:"1.5,2"`
	}](t)
	agreeOn[struct {
		V *string `enum:"a,b"`
	}](t)
	agreeOn[struct {
		V time.Duration `enum:"5s,1m"`
	}](t)
	agreeOn[struct {
		V time.Duration `min:"1s" max:"1m"`
	}](t)
	agreeOn[struct {
		V netip.Addr
	}](t)
}

func agree[T any](t *testing.T) {
	agreeOn[struct{ V T }](t)
}

// differs reports the differences that are meant: what a pattern can't say, and
// the types that decode themselves, of which a schema knows only that they are
// strings.
func differs(typ, doc string) bool {
	in := func(docs ...string) bool {
		return slices.ContainsFunc(docs, func(d string) bool { return strings.HasSuffix(doc, `"`+d+`"}`) })
	}
	switch typ {
	case "struct { V time.Duration }":
		return in("2562047h47m16.854775808s", "9999999h", "99999999999999999999h") // more than an int64 of nanoseconds
	case "struct { V time.Time }":
		return in("2026-02-29T10:00:00Z", "2026-11-22T10:00:00,5Z") // no such day; package time also takes a comma
	case "struct { V netip.Addr }":
		return strings.HasPrefix(doc, `{"v":"`)
	}
	if strings.Contains(typ, "time.Duration") && strings.Contains(typ, "min:") { // texts are not compared
		return strings.HasPrefix(doc, `{"v":"`) && !in("5", "5S", "1 s", ".", "x")
	}
	return false
}

// agreeOn tries {}, {"v": value} for each value, and an unknown key.
func agreeOn[T any](t *testing.T) {
	t.Helper()
	typ := strings.ReplaceAll(reflect.TypeFor[T]().String(), "formats_test.", "")
	schema, err := config.SchemaOf[T]()
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	var theirs google.Schema
	if err := json.Unmarshal(schema, &theirs); err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	resolved, err := theirs.Resolve(&google.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatalf("%s: %v", typ, err)
	}
	parsed, err := santhosh.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := santhosh.NewCompiler()
	if err := c.AddResource("mem:schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("mem:schema.json")
	if err != nil {
		t.Fatalf("%s: %v\n%s", typ, err, schema)
	}
	docs := []string{`{}`, `{"w":1}`, `[]`, `null`}
	for _, v := range values {
		docs = append(docs, `{"v":`+v+`}`, `{"v":{"v":`+v+`}}`)
	}
	for _, doc := range docs {
		snap, err := config.ParseSnapshot(nil, []byte(doc))
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if differs(typ, doc) {
			continue
		}
		_, scanErr := config.As[T](snap.Get(""))
		instance, err := santhosh.UnmarshalJSON(strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(instance); (scanErr == nil) != (err == nil) {
			t.Errorf("%s %s: Scan says %v, santhosh-tekuri/jsonschema %v", typ, doc, scanErr, err)
		}
		if manyDigits.MatchString(doc) {
			continue // google/jsonschema-go reads numbers as float64
		}
		var floats any
		if err := json.Unmarshal([]byte(doc), &floats); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(floats); (scanErr == nil) != (err == nil) {
			t.Errorf("%s %s: Scan says %v, google/jsonschema-go %v", typ, doc, scanErr, err)
		}
	}
}

var manyDigits = regexp.MustCompile(`[0-9]{16}`)
