package platform_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/micro/go-platform"
	"github.com/micro/go-platform/log"
)

// A whole service: it logs, traces, counts, is watched, registers and drains.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "Hello, %s\n", r.PathValue("name"))
	})

	app, err := platform.New("greeter", platform.WithVersion("1.2.0"))
	if err == nil {
		err = app.Run(context.Background(), platform.HTTP("127.0.0.1:8080", mux)) // until SIGTERM
	}
	if err != nil {
		fmt.Println(err)
	}
}

// Parts are there for whoever needs one; what runs until the end is closed by Run.
func ExampleNew() {
	app, err := platform.New("orders", platform.WithLog(log.ToWriter(io.Discard, log.JSON())))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	defer app.Close(ctx)
	if _, err := app.KV().Put(ctx, "orders/17", []byte("paid")); err != nil {
		fmt.Println(err)
		return
	}
	item, err := app.KV().Get(ctx, "orders/17")
	fmt.Println(string(item.Value), err)
	// Output: paid <nil>
}
