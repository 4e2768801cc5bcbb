package zipkin_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/zipkin"
)

func ExampleBackend() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"name":"hello"`) {
			fmt.Println(r.Method, r.URL.Path)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()

	tr, err := trace.New(zipkin.Backend(server.URL), trace.WithService("greeter"))
	if err != nil {
		panic(err)
	}
	_, span := tr.Start(context.Background(), "hello")
	span.End()
	if err := tr.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: POST /api/v2/spans
}
