package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

type folder struct {
	Name    string `config:"name,required"`
	Folders []*folder
}

func TestSchemaSaysWhatScanTakes(t *testing.T) {
	type T struct {
		Port    int           `default:"80" min:"1" max:"65535" doc:"where to listen"`
		Level   string        `enum:"debug,info" default:"info"`
		Timeout time.Duration `default:"5s"`
		Token   config.Secret
		Small   uint8
		Hosts   []string `default:"a,b"`
		TLS     struct {
			Cert string `config:"cert,required"`
		}
		Tree *folder
		Any  any
	}
	got, err := config.SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(got, &s); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$schema":                                  `"https://json-schema.org/draft/2020-12/schema"`,
		"additionalProperties":                     `false`,
		"required":                                 `["tls"]`,
		"properties.port":                          `{"default":80,"description":"where to listen","maximum":65535,"minimum":1,"type":"integer"}`,
		"properties.level":                         `{"default":"info","enum":["debug","info"],"type":"string"}`,
		"properties.timeout.default":               `"5s"`,
		"properties.token":                         `{"type":"string","writeOnly":true}`,
		"properties.small.maximum":                 `255`,
		"properties.hosts.default":                 `["a","b"]`,
		"properties.tls.required":                  `["cert"]`,
		"properties.tree.properties.folders.items": `{"anyOf":[{"$ref":"#/$defs/config_test.folder"},{"type":"null"}]}`,
		"properties.any":                           `{}`,
	} {
		snap, err := config.ParseSnapshot(nil, got)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(snap.Get(path).Bytes()); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
	snap, _ := config.ParseSnapshot(nil, got)
	if !snap.Get("$defs").At("config_test.folder", "properties", "name").Exists() {
		t.Errorf("no definition of the type that contains itself:\n%s", got)
	}
	if _, err := config.SchemaOf[chan int](); !errors.Is(err, config.ErrInvalid) {
		t.Errorf("channel: got %v, want ErrInvalid", err)
	}
}

type tree[T any] struct {
	Of  T
	Sub []*tree[T]
}

type tree_string_ struct {
	Like []*tree_string_
}

// A reference leads to its own type, whatever Go calls that.
func TestReferencesOfASchemaLeadToTheirTypes(t *testing.T) {
	type T struct {
		A tree[string]
		B tree_string_
		C tree[folder]
	}
	got, err := config.SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	snap, err := config.ParseSnapshot(nil, got)
	if err != nil {
		t.Fatal(err)
	}
	for path, key := range map[string]string{
		"properties.a.properties.sub.items.anyOf.0.$ref":                   "of",
		"properties.b.properties.like.items.anyOf.0.$ref":                  "like",
		"properties.c.properties.sub.items.anyOf.0.$ref":                   "of",
		"properties.c.properties.of.properties.folders.items.anyOf.0.$ref": "folders",
	} {
		name, ok := strings.CutPrefix(snap.Get(path).String(""), "#/$defs/")
		if !ok || strings.ContainsAny(name, "/~[]%") || !snap.Get("$defs").At(name, "properties", key).Exists() {
			t.Errorf("%s is %q, which leads to nothing with %q:\n%s", path, name, key, got)
		}
	}
}

func TestMatchesRefusesWhatDoesNotFitTheType(t *testing.T) {
	type server struct {
		Port int `min:"1"`
	}
	m := config.Memory("m", []byte(`{"server":{"port":80},"other":1}`))
	c, err := config.New(config.WithSource(m), config.WithValidator(config.Matches[server]("server")))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m.Set([]byte(`{"server":{"port":80,"prot":1}}`))
	if err := c.Reload(t.Context()); !errors.Is(err, config.ErrDenied) || !strings.Contains(err.Error(), `server.prot: unknown key, did you mean "port"?`) {
		t.Errorf("got %v", err)
	}
	loose, err := config.New(config.WithSource(m), config.WithValidator(config.Matches[server]("server", config.AllowUnknown())))
	if err != nil {
		t.Fatal(err)
	}
	loose.Close()
	if _, err := config.New(config.WithValidator(config.Matches[server]("server", nil))); err == nil {
		t.Error("nil option was taken")
	}
}

func ExampleSchemaOf() {
	type Server struct {
		Addr string `config:"addr,required" doc:"host:port to listen on"`
		Max  int    `default:"100" min:"1"`
	}
	schema, err := config.SchemaOf[Server]()
	if err != nil {
		panic(err)
	}
	fmt.Println(string(schema))
	// Output:
	// {
	//   "$schema": "https://json-schema.org/draft/2020-12/schema",
	//   "additionalProperties": false,
	//   "properties": {
	//     "addr": {
	//       "description": "host:port to listen on",
	//       "type": "string"
	//     },
	//     "max": {
	//       "default": 100,
	//       "maximum": 9223372036854775807,
	//       "minimum": 1,
	//       "type": "integer"
	//     }
	//   },
	//   "required": [
	//     "addr"
	//   ],
	//   "type": "object"
	// }
}
