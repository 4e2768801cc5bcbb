package kubernetes_test

import (
	"fmt"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/kubernetes"
	"github.com/micro/go-platform/config/yaml"
	engine "github.com/micro/go-platform/engine/kubernetes"
)

func ExampleSource() {
	cfg, err := config.New(
		config.WithSource(config.Memory("defaults", map[string]int{"limit": 10})),
		config.WithSource(kubernetes.Source("https://127.0.0.1:1", "configmap/orders", kubernetes.WithFormat(yaml.Format{})), config.Optional()), // nobody listens there
	)
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0), cfg.Health().OK)
	// Output: 10 false
}

func ExampleOn() {
	e, err := engine.Open("https://127.0.0.1:1", engine.WithNamespace("shop")) // "in-cluster" in a pod
	if err != nil {
		panic(err)
	}
	defer e.Close() // after what stands on it
	cfg, err := config.New(
		config.WithSource(kubernetes.On(e, "configmap/orders"), config.Optional()),
		config.WithSource(kubernetes.On(e, "secret/orders-db", kubernetes.WithPath("db")), config.Optional()),
	)
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	for _, s := range cfg.Health().Sources {
		fmt.Println(s.Name)
	}
	// Output:
	// kubernetes https://127.0.0.1:1 configmap/orders
	// kubernetes https://127.0.0.1:1 secret/orders-db
}

func ExampleNewResolver() {
	e, err := engine.Open("https://127.0.0.1:1")
	if err != nil {
		panic(err)
	}
	defer e.Close()
	secrets := kubernetes.NewResolver(e)
	defer secrets.Close()
	doc := config.Memory("app", []byte(`{"dsn": "postgres://app:${kubernetes:shop/orders-db#password}@db/shop"}`))
	_, err = config.New(config.WithSource(doc), config.WithTimeout(time.Second),
		config.WithResolver("kubernetes", secrets, config.ResolveEvery(time.Second)))
	fmt.Println(err != nil) // nobody listens there
	// Output: true
}
