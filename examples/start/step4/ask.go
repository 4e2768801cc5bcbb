package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// ask has some instance of the service greet.
func ask(ctx context.Context, client *http.Client, name string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://greeter/hello/"+url.PathEscape(name), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(answer), err
}
