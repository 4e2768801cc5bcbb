package config_test

import (
	"testing"

	"github.com/micro/go-platform/config"
)

func TestOverlayGoesFromBaseToInstance(t *testing.T) {
	docs := map[string]*config.MemorySource{
		"shop":             config.Memory("shop", []byte(`{"a":1,"b":1,"c":1}`)),
		"shop/prod":        config.Memory("shop/prod", []byte(`{"b":2,"c":2}`)),
		"shop/dev":         config.Memory("shop/dev", []byte(`{"b":9,"c":9}`)),
		"shop/prod/orders": config.Memory("shop/prod/orders", []byte(`{"c":3}`)),
	}
	open := func(ns string) config.Source {
		if m := docs[ns]; m != nil {
			return m
		}
		m := config.Memory(ns, nil)
		m.Delete()
		return m
	}
	for want, parts := range map[string][]string{
		`{"a":1,"b":2,"c":3}`: {"shop", "prod", "orders", "orders-1"},
		`{"a":1,"b":9,"c":9}`: {"shop", "dev", "orders"},
	} {
		c, err := config.New(config.WithOverlay(open, parts...))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := string(c.Snapshot().Bytes()); got != want {
			t.Errorf("%v: got %s, want %s", parts, got, want)
		}
	}
}
