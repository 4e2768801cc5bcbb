// Command step1 is where docs/start.md begins: a service of net/http alone.
//
//	go run ./examples/start/step1
package main

// snippet: service
import (
	"flag"
	"fmt"
	"net/http"
	"os"
)

func hello(rw http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(rw, "Hello, %s\n", r.PathValue("name"))
}

func run(addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", hello)
	return http.ListenAndServe(addr, mux)
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	fmt.Fprintf(os.Stderr, "try http://%s/hello/Ada\n", *addr)
	if err := run(*addr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// end snippet
