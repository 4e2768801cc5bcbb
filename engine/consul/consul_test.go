package consul_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
)

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []consul.Option
	}{
		"empty address": {"", nil}, "scheme": {"redis://:s3cret@h", nil}, "port": {"consul://:s3cret@h:x", nil}, "nil option": {"h", []consul.Option{nil}},
		"TLS": {"h", []consul.Option{consul.WithTLS(nil)}}, "token": {"h", []consul.Option{consul.WithToken("")}},
		"datacenter": {"h", []consul.Option{consul.WithDatacenter("")}},
	} {
		e, err := consul.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/consul: open: ") || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/consul without the token", name, e, err)
		}
	}
	for name, none := range map[string]*consul.Engine{"nil engine": nil, "nil client": consul.FromClient(nil)} {
		_, errKV := kv.New(kvconsul.On(none))
		_, errDiscovery := discovery.New(discoveryconsul.On(none))
		for want, err := range map[error]error{kv.ErrInvalid: errKV, discovery.ErrInvalid: errDiscovery} {
			if !errors.Is(err, want) || !strings.HasSuffix(err.Error(), name) {
				t.Errorf("on a %s: %v, want ErrInvalid", name, err)
			}
		}
	}
}

func ExampleOpen() {
	e, err := consul.Open("consuls://:token@10.0.0.1:8501")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close() // after what stands on it

	store, err := kv.New(kvconsul.On(e), kv.WithLazy()) // WithLazy: this example runs without Consul
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	registry, err := discovery.New(discoveryconsul.On(e), discovery.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer registry.Close()
	fmt.Println(store.Features().Watch)
	// Output: true
}

func ExampleFromClient() {
	client, err := api.NewClient(&api.Config{Address: "10.0.0.1:8500"})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := kv.New(kvconsul.On(consul.FromClient(client)), kv.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Close())
	// Output: <nil>
}
