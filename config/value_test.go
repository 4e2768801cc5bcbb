package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
)

func open(t *testing.T, doc string, opts ...config.Option) (config.Config, *config.MemorySource) {
	t.Helper()
	m := config.Memory("test", []byte(doc))
	c, err := config.New(append([]config.Option{config.WithSource(m), config.WithDebounce(time.Microsecond)}, opts...)...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c, m
}

func TestGettersReturnTheValueOrTheDefault(t *testing.T) {
	c, _ := open(t, `{"s":"x","i":7,"f":2.5,"b":true,"d":"1m30s","l":["a","b"],"m":{"k":"v"},"quoted":"5","big":18446744073709551615,"o":{"p":[{"q":1}]}}`)
	for _, x := range []struct {
		name      string
		got, want any
	}{
		{"string", c.Get("s").String("def"), "x"},
		{"int", c.Get("i").Int(1), 7},
		{"int64", c.Get("i").Int64(1), int64(7)},
		{"float", c.Get("f").Float64(1), 2.5},
		{"float of int", c.Get("i").Float64(1), 7.0},
		{"bool", c.Get("b").Bool(false), true},
		{"duration", c.Get("d").Duration(0), 90 * time.Second},
		{"strings", c.Get("l").Strings(nil), []string{"a", "b"}},
		{"string map", c.Get("m").StringMap(nil), map[string]string{"k": "v"}},
		{"absent", c.Get("none.of.it").Int(3), 3},
		{"absent strings", c.Get("none").Strings([]string{"d"}), []string{"d"}},
		{"number in quotes is no number", c.Get("quoted").Int(3), 3},
		{"fraction is no int", c.Get("f").Int(3), 3},
		{"number is no duration", c.Get("i").Duration(time.Second), time.Second},
		{"number is no string", c.Get("i").String("d"), "d"},
		{"beyond int64", c.Get("big").Int64(3), int64(3)},
		{"any", c.Get("big").Any(), uint64(18446744073709551615)},
		{"in an array", c.Get("o.p.0.q").Int(0), 1},
		{"beyond an array", c.Get("o.p.1.q").Exists(), false},
		{"odd index", c.Get("o.p.00.q").Exists(), false},
		{"below a scalar", c.Get("s.x").Exists(), false},
		{"length", c.Get("l").Len(), 2},
		{"At", c.Get("o").At("p", "0", "q").Int(0), 1},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: got %v, want %v", x.name, x.got, x.want)
		}
	}
}

func TestWrongTypeIsReportedOnceAndNotHiddenByTheDefault(t *testing.T) {
	var log strings.Builder
	c, m := open(t, `{"port":"eighty","password":"hunter2"}`, config.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	for range 3 {
		c.Get("port").Int(80)
	}
	c.Get("password").Int(0)
	h := c.Health()
	if len(h.Misreads) != 2 || !strings.Contains(h.Misreads[1].Error(), `memory test:1: port: want int, got string "eighty"`) {
		t.Errorf("Misreads: got %v, want those of port and password", h.Misreads)
	}
	if strings.Contains(fmt.Sprint(h.Misreads), "hunter2") {
		t.Errorf("a secret stands in %v", h.Misreads)
	}
	if n := strings.Count(log.String(), "port: want int"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &log)
	}
	m.Set([]byte(`{"port":80}`))
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := c.Health(); len(h.Misreads) != 0 {
		t.Errorf("Misreads after the repair: %v", h.Misreads)
	}
}

func TestSecretsAreRedactedInEveryOutput(t *testing.T) {
	const secret = "hunter2"
	c, m := open(t, `{"db":{"password":"hunter2","dsn":"x:hunter2@y"},"apiKey":"hunter2","github-token":{"value":"hunter2"},"keys":{"a":{"pem":"hunter2"}},"plain":1}`,
		config.WithSecrets("db.dsn", "keys.*.pem"))
	old := c.Get("")
	m.Set([]byte(strings.Replace(`{"db":{"password":"hunter2","dsn":"hunter2"},"keys":{"a":{"pem":"hunter2"}},"plain":2}`, "plain", "plain", 1)))
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := c.Snapshot()
	change := config.Change{Path: "", Old: old, New: s.Get("")}
	outputs := map[string]string{
		"Snapshot.String": s.String(), "Snapshot %v": fmt.Sprint(s), "Snapshot %+v": fmt.Sprintf("%+v", s), "Snapshot %#v": fmt.Sprintf("%#v", s),
		"Snapshot.LogValue": s.LogValue().String(),
		"Value %v":          fmt.Sprint(s.Get("db")), "Value %+v": fmt.Sprintf("%+v", s.Get("db.password")), "Value.LogValue": s.Get("db").LogValue().String(),
		"Change.String": change.String(), "Change %v": fmt.Sprint(change), "Change %+v": fmt.Sprintf("%+v", change),
		"Diff": fmt.Sprint(config.Diff(old, s.Get(""))),
	}
	b, _ := json.Marshal(s)
	outputs["Snapshot JSON"] = string(b)
	b, _ = json.Marshal(s.Get("db"))
	outputs["Value JSON"] = string(b)
	for name, out := range outputs {
		if strings.Contains(out, secret) {
			t.Errorf("%s shows the secret: %s", name, out)
		}
	}
	if !strings.Contains(s.String(), `"plain":2`) {
		t.Errorf("String hides what is no secret: %s", s)
	}
	if got := s.Get("db.password").String(""); got != secret {
		t.Errorf("the program itself gets %q", got)
	}
}

func TestScanIsStrictAndNamesPathLineAndType(t *testing.T) {
	type server struct {
		Addr     string
		Port     int           `min:"1" max:"65535"`
		Timeout  time.Duration `default:"5s" max:"1m"`
		Level    string        `enum:"debug,info"`
		Hosts    []string
		Password config.Secret
		TLS      struct {
			Cert string `config:"cert,required"`
		} `config:"tls"`
	}
	for _, x := range []struct{ doc, want string }{
		{`{"addr":1}`, `memory test:1: addr: want string, got number 1`},
		{`{"port":"80"}`, `port: want int, got string "80"`},
		{`{"port":0}`, `port: want a value from 1 to 65535, got number 0`},
		{`{"port":1.5}`, `port: want int, got number 1.5`},
		{`{"timeout":5}`, `timeout: want a duration such as "5s", got number 5`},
		{`{"timeout":"2m"}`, `timeout: want a value of 1m or less, got string "2m"`},
		{`{"level":"loud"}`, `level: want one of debug, info, got string "loud"`},
		{`{"hosts":"a,b"}`, `hosts: want array, got string "a,b"`},
		{`{"hosts":["a",2]}`, `hosts.1: want string, got number 2`},
		{`{"prot":1}`, `prot: unknown key, did you mean "port"?`},
		{`{"zzz":1}`, `zzz: unknown key`},
		{`{"password":17}`, `password: want a string for config.Secret, got number`},
		{`{}`, `tls.cert: required, but nothing is set`},
		{`{"tls":[]}`, `tls: want object, got array`},
	} {
		c, _ := open(t, x.doc)
		var s server
		err := c.Get("").Scan(&s)
		var fe *config.FieldError
		if !errors.Is(err, config.ErrInvalid) || !errors.As(err, &fe) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: got %v, want a FieldError with %q", x.doc, err, x.want)
		}
		if strings.Contains(x.doc, "password") && strings.Contains(err.Error(), "17") {
			t.Errorf("%s: the error shows a secret: %v", x.doc, err)
		}
		if !reflect.DeepEqual(s, server{}) {
			t.Errorf("%s: Scan changed its target in spite of an error: %+v", x.doc, s)
		}
	}
	c, _ := open(t, `{"addr":"x","port":80,"level":"info","tls":{"cert":"c"}}`)
	got, err := config.As[server](c.Get(""))
	if err != nil || got.Timeout != 5*time.Second || got.TLS.Cert != "c" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestScanDecodesWhatGoProgramsUse(t *testing.T) {
	type Base struct{ Name string }
	type all struct {
		Base
		At       time.Time
		Raw      json.RawMessage
		Bytes    []byte
		Ptr      *int
		NilPtr   *Base
		Any      any
		Map      map[string]Base
		Array    [2]uint8
		Skipped  string `config:"-"`
		HTTPAddr string
		Level    slog.Level
		Float    float32
		Nested   []map[string][]int
	}
	c, _ := open(t, `{"name":"n","at":"2026-11-22T10:00:00Z","raw":{"b":1,"a":[2]},"bytes":"aGk=","ptr":3,"any":{"x":[1,"y",null]},
		"map":{"k":{"name":"v"}},"array":[1,255],"http_addr":":80","level":"WARN","float":1.5,"nested":[{"a":[1]}]}`)
	got, err := config.As[all](c.Get(""))
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	want := all{Base: Base{"n"}, At: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Raw: json.RawMessage(`{"a":[2],"b":1}`), Bytes: []byte("hi"), Ptr: &three,
		Any: map[string]any{"x": []any{int64(1), "y", nil}}, Map: map[string]Base{"k": {"v"}}, Array: [2]uint8{1, 255}, HTTPAddr: ":80", Level: slog.LevelWarn, Float: 1.5,
		Nested: []map[string][]int{{"a": {1}}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, into := range map[string]any{
		"channel": &struct{ C chan int }{}, "function": &struct{ F func() }{}, "int keys": &struct{ M map[int]string }{},
		"bad flag": &struct {
			A int `config:"a,requird"`
		}{},
		"bad default": &struct {
			A int `default:"x"`
		}{},
		"bad limit": &struct {
			A string `min:"1"`
		}{},
		"two of a name": &struct {
			A int `config:"x"`
			B int `config:"x"`
		}{},
		"unexported with a tag": &struct {
			a int `config:"a"`
		}{},
		"no pointer": all{}, "nil": nil, "nil pointer": (*all)(nil),
	} {
		if err := c.Get("").Scan(into); !errors.Is(err, config.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestGetAndBoundReadsDoNotAllocate(t *testing.T) {
	c, _ := open(t, `{"server":{"addr":"x","port":80},"list":[{"a":1}]}`)
	b, err := config.Bind[struct {
		Addr string
		Port int
	}](c, "server")
	if err != nil {
		t.Fatal(err)
	}
	v, err := config.Var(c, "server.port", 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func(){
		"Get":             func() { c.Get("server.port").Int(0) },
		"Get of nothing":  func() { c.Get("server.none").Int(0) },
		"Get in an array": func() { c.Get("list.0.a").Int(0) },
		"Get String":      func() { c.Get("server.addr").String("") },
		"Binding.Load":    func() { _ = b.Load().Port },
		"Variable.Load":   func() { _ = v.Load() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestPathsEscapeDots(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"a", "b"}, {"a.b", `c\d`, "e"}, {`\`, "."}, {"x."}} {
		if got := config.SplitPath(config.Path(keys...)); !reflect.DeepEqual(got, keys) {
			t.Errorf("SplitPath(Path(%q)) = %q", keys, got)
		}
	}
}
