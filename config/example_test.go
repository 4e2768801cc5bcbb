package config_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform/config"
)

func Example() {
	defaults := config.Memory("defaults", map[string]any{
		"server": map[string]any{"addr": ":8080", "timeout": "5s"},
	})
	os.Setenv("SHOP_SERVER__ADDR", ":9090")
	defer os.Unsetenv("SHOP_SERVER__ADDR")

	cfg, err := config.New(
		config.WithSource(defaults),
		config.WithSource(config.Env("SHOP")), // wins
	)
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("server.addr").String(":80"), cfg.Get("server.timeout").Duration(time.Second))
	origin, _ := cfg.Snapshot().Origin("server.addr")
	fmt.Println("set by", origin)
	// Output:
	// :9090 5s
	// set by env SHOP
}

func ExampleWithResolver() {
	vault := config.ResolverFunc(func(ctx context.Context, ref string) (string, error) {
		if ref != "mail" {
			return "", config.ErrNotFound
		}
		return "hunter2", nil
	})
	doc := config.Memory("app", map[string]any{"mail": map[string]any{"user": "shop", "pass": "${vault:mail}"}})
	cfg, err := config.New(config.WithSource(doc), config.WithResolver("vault", vault, config.ResolveEvery(time.Minute)))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("mail.pass").String(""))
	fmt.Println(cfg.Snapshot())
	// Output:
	// hunter2
	// {"mail":{"pass":"[redacted]","user":"shop"}}
}

func ExampleFiles() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "db"), []byte("hunter2\n"), 0o600); err != nil {
		panic(err)
	}
	password, err := config.Files(dir).Resolve(context.Background(), "db")
	fmt.Println(password, err)
	_, err = config.Files(dir).Resolve(context.Background(), "../passwd")
	fmt.Println(errors.Is(err, config.ErrInvalid))
	// Output:
	// hunter2 <nil>
	// true
}

func ExampleBind() {
	type Database struct {
		DSN      string        `config:"dsn,required"`
		MaxConns int           `default:"10" min:"1"`
		Timeout  time.Duration `default:"5s"`
		Password config.Secret
	}
	source := config.Memory("app", []byte(`{"db": {"dsn": "orders@db1", "password": "hunter2"}}`))
	cfg, err := config.New(config.WithSource(source))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()

	db, err := config.Bind[Database](cfg, "db")
	if err != nil {
		panic(err)
	}
	db.OnChange(func(old, new *Database) { fmt.Println("now", new.DSN) })
	fmt.Printf("%+v\n", *db.Load())

	source.Set([]byte(`{"db": {"dsn": "orders@db2", "max_conns": 0}}`)) // a mistake
	fmt.Println(cfg.Reload(context.Background()) != nil, db.Load().DSN)
	source.Set([]byte(`{"db": {"dsn": "orders@db2"}}`))
	fmt.Println(cfg.Reload(context.Background()) != nil, db.Load().DSN)
	// Output:
	// {DSN:orders@db1 MaxConns:10 Timeout:5s Password:[redacted]}
	// true orders@db1
	// now orders@db2
	// false orders@db2
}

func ExampleVar() {
	cfg, err := config.New(config.WithSource(config.Memory("app", map[string]int{"limit": 100})))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	limit, err := config.Var(cfg, "limit", 10)
	if err != nil {
		panic(err)
	}
	burst, err := config.Var(cfg, "burst", 5)
	if err != nil {
		panic(err)
	}
	fmt.Println(limit.Load(), burst.Load())
	// Output: 100 5
}

func ExampleConfig_Watch() {
	source := config.Memory("app", []byte(`{"level": "info"}`))
	cfg, err := config.New(config.WithSource(source))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	for change, err := range cfg.Watch(context.Background(), "level") {
		if err != nil {
			break
		}
		fmt.Println(change)
		if change.New.String("") == "debug" {
			break
		}
		source.Set([]byte(`{"level": "debug"}`))
	}
	// Output:
	// level: (nothing) → "info"
	// level: "info" → "debug"
}

func ExampleConfig_Subscribe() {
	source := config.Memory("app", map[string]int{"workers": 4})
	cfg, err := config.New(config.WithSource(source))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	cancel, err := cfg.Subscribe("workers", func(ctx context.Context, c config.Change) (func(), error) {
		n := c.New.Int(0)
		if n > 100 {
			return nil, errors.New("more than 100 workers")
		}
		return func() { fmt.Println("running", n, "workers") }, nil
	})
	if err != nil {
		panic(err)
	}
	defer cancel()
	source.Set(map[string]int{"workers": 1000})
	fmt.Println(cfg.Reload(context.Background()))
	// Output:
	// running 4 workers
	// config: reload: denied: refused by the subscriber of "workers": more than 100 workers
}

func ExampleWithValidator() {
	_, err := config.New(
		config.WithSource(config.Memory("app", map[string]int{"min": 5, "max": 2})),
		config.WithValidator(func(ctx context.Context, next *config.Snapshot) error {
			if next.Get("min").Int(0) > next.Get("max").Int(0) {
				return errors.New("min is above max")
			}
			return nil
		}),
	)
	fmt.Println(err)
	// Output: config: new: denied: refused by a validator: min is above max
}

func ExampleWithLastKnownGood() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	remote := config.Memory("remote", map[string]int{"limit": 7})
	start := func() config.Config {
		cfg, err := config.New(config.WithSource(remote), config.WithLastKnownGood(filepath.Join(dir, "good.json"), 24*time.Hour))
		if err != nil {
			panic(err)
		}
		return cfg
	}
	start().Close()
	remote.Update(config.Content{}, config.ErrUnavailable) // the server is down
	cfg := start()
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0), cfg.Health().OK)
	// Output: 7 false
}

func ExampleFlags() {
	fs := flag.NewFlagSet("app", flag.ExitOnError)
	fs.Int("server.max-conns", 10, "")
	fs.Parse([]string{"-server.max-conns=20"})
	cfg, err := config.New(config.WithSource(config.Flags(fs)))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("server.max_conns").Int(0))
	// Output: 20
}

func ExampleWithOverlay() {
	documents := map[string]string{
		"shop":             `{"currency": "EUR", "level": "debug"}`,
		"shop/prod":        `{"level": "warn"}`,
		"shop/prod/orders": `{"workers": 8}`,
	}
	open := func(namespace string) config.Source {
		m := config.Memory(namespace, []byte(documents[namespace]))
		if documents[namespace] == "" {
			m.Delete()
		}
		return m
	}
	cfg, err := config.New(config.WithOverlay(open, "shop", "prod", "orders", "orders-1"))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Snapshot())
	// Output: {"currency":"EUR","level":"warn","workers":8}
}

func ExampleDiff() {
	old, _ := config.ParseSnapshot(nil, []byte(`{"port": 80, "db": {"password": "a", "host": "x"}}`))
	new, _ := config.ParseSnapshot(nil, []byte(`{"port": 81, "db": {"password": "b"}}`))
	for _, c := range config.Diff(old.Get(""), new.Get("")) {
		fmt.Println(c)
	}
	// Output:
	// db.host: "x" → (nothing)
	// db.password: "[redacted]" → "[redacted]"
	// port: 80 → 81
}

func ExampleMergePatch() {
	out, err := config.MergePatch([]byte(`{"a": 1, "b": {"c": 2, "d": 3}}`), []byte(`{"a": null, "b": {"c": 4}}`))
	fmt.Println(string(out), err)
	// Output: {"b":{"c":4,"d":3}} <nil>
}
