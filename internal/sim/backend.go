package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Backend is a server on a host of the world, the model of one that package tests
// can't take into a bubble. It is asked over HTTP.
type Backend struct {
	host   *Host
	port   int
	answer func(op string, body []byte) any
	server *http.Server
	served chan struct{}
}

// Serve begins to answer calls, with what answer returns as JSON.
func (h *Host) Serve(port int, answer func(op string, body []byte) any) *Backend {
	b := &Backend{host: h, port: port, answer: answer}
	b.Start()
	return b
}

// Start serves again after Stop.
func (b *Backend) Start() {
	l, err := b.host.Listen(b.port)
	if err != nil {
		panic(err)
	}
	b.server, b.served = &http.Server{Handler: b}, make(chan struct{})
	go func() { defer close(b.served); _ = b.server.Serve(l) }()
}

// Stop ends the server's process. What the model knows stays as it is.
func (b *Backend) Stop() {
	_ = b.server.Close()
	<-b.served
}

func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_ = json.NewEncoder(w).Encode(b.answer(r.URL.Path[1:], body))
}

// Client asks a Backend, from a host.
type Client struct {
	addr string
	http *http.Client
}

// Client returns a client of the backend at an address.
func (h *Host) Client(addr string) *Client {
	return &Client{addr, &http.Client{Transport: &http.Transport{DialContext: h.DialContext}}}
}

// ErrUnsent is that of a call that was certainly not sent.
var ErrUnsent = errors.New("not sent")

// Call asks for op. After an error that is not ErrUnsent the backend may have done it.
func (c *Client) Call(ctx context.Context, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+"/"+op, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			err = fmt.Errorf("%w: %w", ErrUnsent, err)
		}
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(out)
}

// Close gives connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }
