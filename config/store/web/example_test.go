package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/config/store/web"
	"github.com/micro/go-platform/config/url"
)

// A service that reaches the engine serves it to one that does not.
func ExampleNew() {
	st, err := store.New() // or one on Redis, etcd, SQL …
	if err != nil {
		panic(err)
	}
	defer st.Close()
	if _, err := st.Set(context.Background(), "shop", "limit", 7); err != nil {
		panic(err)
	}
	h, err := web.New(st, func(r *http.Request, namespace string, write bool) (string, error) { // or web.Authorize(au, "ops")
		return "anybody", nil
	})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	server := httptest.NewServer(http.StripPrefix("/config", h))
	defer server.Close()

	cfg, err := config.New(config.WithSource(url.LongPoll(server.URL+"/config/shop/orders?layers", 30*time.Second)))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0))
	// Output: 7
}
