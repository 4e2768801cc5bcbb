package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/micro/go-platform/internal/conn"
)

const pageLogin = "User and password are in the URL, or a\ntoken is in PLATFORM_PAGE_TOKEN."

// maxPage is how many bytes are read of an answer.
const maxPage = 32 << 20

// ask reads JSON of a process, below the URL of its page or of its probes.
func (c *call) ask(ctx context.Context, address, path string, into any) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return badUse("%q is no URL with http or https", redact(address))
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return badUse("%q is no URL with http or https", redact(address))
	}
	client := http.DefaultClient
	if token := c.env("PLATFORM_PAGE_TOKEN"); token != "" && u.User == nil {
		req.Header.Set("Authorization", "Bearer "+token)
		client = &http.Client{CheckRedirect: conn.SameOrigin}
	}
	rsp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &failure{exitUnavailable, err.Error()}
	}
	defer rsp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(rsp.Body, maxPage+1))
	switch {
	case err != nil:
		return &failure{exitUnavailable, err.Error()}
	case len(b) > maxPage:
		return fmt.Errorf("%s answers more than %s", u.Redacted(), size(maxPage))
	case rsp.StatusCode == http.StatusUnauthorized, rsp.StatusCode == http.StatusForbidden:
		return &failure{exitDenied, fmt.Sprintf("%s answers %s", u.Redacted(), rsp.Status)}
	case rsp.StatusCode == http.StatusNotFound:
		return no("%s answers %s: %s", u.Redacted(), rsp.Status, cut(string(b), 200))
	case rsp.StatusCode >= 500 && rsp.StatusCode != http.StatusServiceUnavailable, rsp.StatusCode == http.StatusTooManyRequests:
		return &failure{exitUnavailable, fmt.Sprintf("%s answers %s", u.Redacted(), rsp.Status)}
	case rsp.StatusCode != http.StatusOK && rsp.StatusCode != http.StatusServiceUnavailable:
		return fmt.Errorf("%s answers %s", u.Redacted(), rsp.Status)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s does not answer what was expected: %w", u.Redacted(), err)
	}
	return nil
}

// redact hides the password of an address that may be no URL.
func redact(address string) string {
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		return "xxxxx" + address[i:]
	}
	return address
}
