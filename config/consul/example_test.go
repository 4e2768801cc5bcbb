package consul_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/consul"
	engine "github.com/micro/go-platform/engine/consul"
)

func ExampleSource() {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("index") == "7" { // nothing changes any more
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Consul-Index", "7")
		fmt.Fprintf(w, `[{"Key": "config/orders", "ModifyIndex": 7, "Value": %q}]`, base64.StdEncoding.EncodeToString([]byte(`{"limit": 7}`)))
	}))
	defer agent.Close()

	cfg, err := config.New(config.WithSource(consul.Source(agent.URL, "config/orders")))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0))
	// Output: 7
}

func ExampleOn() {
	e, err := engine.Open("127.0.0.1:1") // for several packages
	if err != nil {
		panic(err)
	}
	defer e.Close()
	cfg, err := config.New(config.WithSource(consul.On(e, "config/orders"), config.Optional())) // nobody listens there
	if err != nil {
		panic(err)
	}
	fmt.Println(cfg.Health().OK, cfg.Close())
	// Output: false <nil>
}
