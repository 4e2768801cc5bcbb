package url_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/url"
)

func ExampleSource() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"limit": 7}`)
	}))
	defer server.Close()
	cfg, err := config.New(config.WithSource(url.Source(server.URL+"/app.json"), config.Poll(time.Minute)))
	if err != nil {
		panic(err)
	}
	defer cfg.Close()
	fmt.Println(cfg.Get("limit").Int(0))
	// Output: 7
}
