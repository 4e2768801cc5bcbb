// Package config measures config against koanf and viper on the same document
// of 100 keys.
package config

import (
	"bytes"
	"context"
	stdjson "encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/knadh/koanf/parsers/json"
	koanfyaml "github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/yaml"
	"github.com/spf13/viper"
)

// document is 100 values in ten objects, and the n that changes.
func document(n int) map[string]any {
	doc := map[string]any{}
	for i := range 10 {
		section := map[string]any{}
		for j := range 10 {
			var v any = fmt.Sprintf("value-%d-%d-%d", i, j, n)
			switch j % 4 {
			case 1:
				v = i*1000 + j + n
			case 2:
				v = j%3 == 0
			case 3:
				v = []string{"a", "b", fmt.Sprint(n)}
			}
			section[fmt.Sprintf("key%d", j)] = v
		}
		doc[fmt.Sprintf("section%d", i)] = section
	}
	return doc
}

// layers are three documents of 100 keys each.
func layers(n int) [3][]byte {
	var out [3][]byte
	for i := range out {
		out[i], _ = stdjson.MarshalIndent(document(n*3+i), "", "  ")
	}
	return out
}

func open(b *testing.B) (config.Config, [3]*config.MemorySource) {
	var sources [3]*config.MemorySource
	var opts []config.Option
	for i, doc := range layers(0) {
		sources[i] = config.Memory(fmt.Sprint(i), doc)
		opts = append(opts, config.WithSource(quiet{sources[i]}, config.Poll(time.Hour)))
	}
	c, err := config.New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c, sources
}

// quiet hides a source's Watch, so that only Reload reads it.
type quiet struct{ config.Source }

func openKoanf(b *testing.B) *koanf.Koanf {
	k := koanf.New(".")
	for _, doc := range layers(0) {
		if err := k.Load(rawbytes.Provider(doc), json.Parser()); err != nil {
			b.Fatal(err)
		}
	}
	return k
}

func openViper(b *testing.B) *viper.Viper {
	v := viper.New()
	v.SetConfigType("json")
	for _, doc := range layers(0) {
		if err := v.MergeConfig(bytes.NewReader(doc)); err != nil {
			b.Fatal(err)
		}
	}
	return v
}

var sinkString string
var sinkInt int

func BenchmarkGetString(b *testing.B) {
	c, _ := open(b)
	k, v := openKoanf(b), openViper(b)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkString = c.Get("section5.key4").String("")
		}
	})
	b.Run("koanf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkString = k.String("section5.key4")
		}
	})
	b.Run("viper", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkString = v.GetString("section5.key4")
		}
	})
}

func BenchmarkGetInt(b *testing.B) {
	c, _ := open(b)
	k, v := openKoanf(b), openViper(b)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkInt = c.Get("section5.key1").Int(0)
		}
	})
	b.Run("koanf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkInt = k.Int("section5.key1")
		}
	})
	b.Run("viper", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkInt = v.GetInt("section5.key1")
		}
	})
}

func BenchmarkBoundRead(b *testing.B) {
	c, _ := open(b)
	bound, err := config.Bind[struct {
		Key1 int `config:"key1"`
	}](c, "section5", config.AllowUnknown())
	if err != nil {
		b.Fatal(err)
	}
	variable, err := config.Var(c, "section5.key1", 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Binding", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkInt = bound.Load().Key1
		}
	})
	b.Run("Variable", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sinkInt = variable.Load()
		}
	})
}

// BenchmarkReload makes three changed layers of 100 keys the running ones. Ours
// also checks, diffs, keeps origins and swaps.
func BenchmarkReload(b *testing.B) {
	variants := make([][3][]byte, 16)
	for i := range variants {
		variants[i] = layers(i + 1)
	}
	b.Run("ours", func(b *testing.B) {
		c, sources := open(b)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			for i, doc := range variants[n%len(variants)] {
				sources[i].Set(doc)
			}
			if err := c.Reload(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("koanf", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			k := koanf.New(".")
			for _, doc := range variants[n%len(variants)] {
				if err := k.Load(rawbytes.Provider(doc), json.Parser()); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("viper", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			v := viper.New()
			v.SetConfigType("json")
			for _, doc := range variants[n%len(variants)] {
				if err := v.MergeConfig(bytes.NewReader(doc)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkReloadYAML is BenchmarkReload of one layer in YAML.
func BenchmarkReloadYAML(b *testing.B) {
	var variants [16][]byte
	for i := range variants {
		doc, err := koanfyaml.Parser().Marshal(document(i))
		if err != nil {
			b.Fatal(err)
		}
		variants[i] = doc
	}
	b.Run("ours", func(b *testing.B) {
		m := new(config.MemorySource)
		set := func(i int) {
			m.Update(config.Content{Parts: []config.Part{{Data: variants[i%16], Format: yaml.Format{}}}}, nil)
		}
		set(0)
		c, err := config.New(config.WithSource(quiet{m}, config.Poll(time.Hour)))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			set(n)
			if err := c.Reload(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("koanf", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			k := koanf.New(".")
			if err := k.Load(rawbytes.Provider(variants[n%16]), koanfyaml.Parser()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	type section struct {
		Key0 string   `config:"key0" koanf:"key0" mapstructure:"key0"`
		Key1 int      `config:"key1" koanf:"key1" mapstructure:"key1"`
		Key2 bool     `config:"key2" koanf:"key2" mapstructure:"key2"`
		Key3 []string `config:"key3" koanf:"key3" mapstructure:"key3"`
	}
	c, _ := open(b)
	k, v := openKoanf(b), openViper(b)
	snapshot := c.Snapshot()
	var s section
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		type all struct {
			section
			Rest4 string   `config:"key4"`
			Rest5 int      `config:"key5"`
			Rest6 bool     `config:"key6"`
			Rest7 []string `config:"key7"`
			Rest8 string   `config:"key8"`
			Rest9 int      `config:"key9"`
		}
		var s all
		for b.Loop() {
			if err := snapshot.Scan("section5", &s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("koanf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := k.Unmarshal("section5", &s); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("viper", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := v.UnmarshalKey("section5", &s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestSchemaAndScanAgree checks the schema of a type with somebody else's
// validator: it must accept and refuse what Scan does.
func TestSchemaAndScanAgree(t *testing.T) {
	type folder struct {
		Name    string `config:"name,required"`
		Folders []*folder
	}
	type server struct {
		Port    int           `default:"80" min:"1" max:"65535"`
		Level   string        `enum:"debug,info"`
		Timeout time.Duration `default:"5s"`
		Small   int8
		Count   uint
		Pair    [2]float64
		Map     map[string]bool
		TLS     *struct {
			Cert string `config:"cert,required"`
		}
		Tree *folder
		At   time.Time
	}
	text, err := config.SchemaOf[server]()
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := stdjson.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for doc, want := range map[string]bool{
		`{}`: true, `{"port":1}`: true, `{"port":0}`: false, `{"port":70000}`: false, `{"port":"80"}`: false, `{"port":1.5}`: false,
		`{"level":"info"}`: true, `{"level":"loud"}`: false, `{"timeout":"1h2m3.5s"}`: true, `{"timeout":"5"}`: false, `{"timeout":5}`: false, `{"timeout":"-1µs"}`: true,
		`{"small":-128}`: true, `{"small":128}`: false, `{"count":-1}`: false, `{"pair":[1,2.5]}`: true, `{"pair":[1]}`: false,
		`{"map":{"a":true}}`: true, `{"map":{"a":1}}`: false, `{"map":[]}`: false, `{"unknown":1}`: false,
		`{"tls":{}}`: false, `{"tls":{"cert":"x"}}`: true, `{"tree":{"name":"a","folders":[{"name":"b"}]}}`: true, `{"tree":{"name":"a","folders":[{}]}}`: false,
		`{"at":"2026-11-22T10:00:00Z"}`: true, `{"at":7}`: false,
	} {
		var v any
		if err := stdjson.Unmarshal([]byte(doc), &v); err != nil {
			t.Fatal(err)
		}
		bySchema := resolved.Validate(v)
		snap, err := config.ParseSnapshot(nil, []byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		byScan := snap.Scan("", new(server))
		if (bySchema == nil) != want || (byScan == nil) != want {
			t.Errorf("%s: the schema says %v, Scan says %v, want accepted = %v", doc, bySchema, byScan, want)
		}
	}
}
