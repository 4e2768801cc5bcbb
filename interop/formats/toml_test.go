package formats_test

import (
	"encoding/json"
	"io/fs"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/toml"
	tomltest "github.com/toml-lang/toml-test/v2"
)

// What config refuses although it is TOML.
const (
	noDocument = "empty document" // ParseSnapshot; a source may be empty
	noKey      = "empty key"      // a path couldn't name it
	notANumber = "is not a number that configuration can hold"
)

// tomlRefused are those documents of the suite.
var tomlRefused = map[string]string{
	"comment/noeol": noDocument, "comment/nonascii": noDocument, "empty-crlf": noDocument, "empty-lf": noDocument,
	"empty-nothing": noDocument, "empty-space": noDocument, "empty-tab": noDocument,
	"key/dotted-empty": noKey, "key/empty-01": noKey, "key/empty-02": noKey, "key/empty-03": noKey,
	"table/array-empty-name": noKey, "table/empty-name": noKey,
	"comment/after-literal-no-ws": notANumber, "float/inf-and-nan": notANumber, "spec-1.1.0/common-25": notANumber,
}

// TestTOML runs the suite of toml.io for TOML 1.1.
func TestTOML(t *testing.T) {
	files := tomltest.TestCases()
	list, err := tomltest.NewRunner(tomltest.Runner{Files: files, Version: "1.1.0"}).List()
	if err != nil {
		t.Fatal(err)
	}
	valid, invalid := 0, 0
	for _, name := range list {
		if strings.HasPrefix(name, "encoder/") {
			continue // the valid ones once more
		}
		doc, err := fs.ReadFile(files, name+".toml")
		if err != nil {
			t.Fatal(err)
		}
		snap, err := config.ParseSnapshot(toml.Format{}, doc)
		reason, refused := tomlRefused[strings.TrimPrefix(name, "valid/")]
		switch {
		case strings.HasPrefix(name, "invalid/"):
			invalid++
			if err == nil {
				t.Errorf("%s: taken as %s\n%s", name, snap.Get("").Bytes(), doc)
			}
		case refused:
			valid++
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: got %v, want %q", name, err, reason)
			}
		case err != nil:
			valid++
			t.Errorf("%s: %v\n%s", name, err, doc)
		default:
			valid++
			want, err := fs.ReadFile(files, name+".json")
			if err != nil {
				t.Fatal(err)
			}
			var tagged any
			if err := json.Unmarshal(want, &tagged); err != nil {
				t.Fatal(err)
			}
			compareTOML(t, name, snap.Get(""), tagged)
		}
	}
	if valid < 200 || invalid < 450 {
		t.Errorf("ran %d valid and %d invalid documents: where is the suite?", valid, invalid)
	}
}

// compareTOML checks a value against one in the suite's tagged JSON.
func compareTOML(t *testing.T, name string, got config.Value, want any) {
	switch want := want.(type) {
	case []any:
		if got.Kind() != config.Array || got.Len() != len(want) {
			t.Errorf("%s: %s is %v of %d, want %d items", name, got.Path(), got.Kind(), got.Len(), len(want))
			return
		}
		i := 0
		for _, item := range got.Each() {
			compareTOML(t, name, item, want[i])
			i++
		}
	case map[string]any:
		kind, tagged := want["type"].(string)
		text, hasText := want["value"].(string)
		if tagged && hasText && len(want) == 2 {
			compareTOMLScalar(t, name, got, kind, text)
			return
		}
		if got.Kind() != config.Object || got.Len() != len(want) {
			t.Errorf("%s: %q is %v of %d, want %d members", name, got.Path(), got.Kind(), got.Len(), len(want))
			return
		}
		for k, v := range want {
			compareTOML(t, name, got.At(k), v)
		}
	}
}

func compareTOMLScalar(t *testing.T, name string, got config.Value, kind, want string) {
	ok := false
	switch kind {
	case "string":
		ok = got.Kind() == config.String && got.String("") == want
	case "bool":
		ok = got.Kind() == config.Bool && string(got.Bytes()) == want
	case "integer":
		ok = got.Kind() == config.Number && string(got.Bytes()) == want
	case "float":
		a, _ := new(big.Rat).SetString(string(got.Bytes()))
		b, _ := new(big.Rat).SetString(want)
		ok = got.Kind() == config.Number && a != nil && b != nil && got.Float64(0) == must(b.Float64())
	case "datetime":
		a, err := time.Parse(time.RFC3339Nano, got.String(""))
		b, _ := time.Parse(time.RFC3339Nano, want)
		_, zoneA := a.Zone()
		_, zoneB := b.Zone()
		ok = err == nil && a.Equal(b) && zoneA == zoneB
	default: // datetime-local, date-local, time-local
		ok = got.Kind() == config.String && trimZeros(got.String("")) == trimZeros(want)
	}
	if !ok {
		t.Errorf("%s: %s: got %s, want %s %s", name, got.Path(), got.Bytes(), kind, want)
	}
}

func must[T any](v T, _ bool) T { return v }

// trimZeros takes zeros from the end of a fraction.
func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		return strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
