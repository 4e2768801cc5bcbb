package issuer

import (
	"html/template"
	"net/http"
)

var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sign in</title>
<style>body{font:16px system-ui;max-width:22rem;margin:4rem auto;padding:0 1rem}label{display:block;margin:1rem 0}input{width:100%;font:inherit;padding:.4rem;box-sizing:border-box}button{font:inherit;padding:.4rem 1rem;margin-right:.5rem}.error{color:#a00}</style>
<h1>{{if .Consent}}Allow access{{else}}Sign in{{end}}</h1>
<p><b>{{.Client}}</b> asks for access{{if .Scopes}} to {{range $n, $s := .Scopes}}{{if $n}}, {{end}}<code>{{$s}}</code>{{end}}{{end}}{{if .Consent}} as <b>{{.Subject}}</b>{{end}}.</p>
{{if .Error}}<p class="error" role="alert">{{.Error}}</p>{{end}}
<form method="post">{{if .Consent}}<input type="hidden" name="consent" value="{{.Consent}}">
<p>Allow it only if you have just started this program yourself.</p>
<button>Allow</button>{{else}}<label>User<input name="username" autocomplete="username" required autofocus></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in and allow</button>{{end}}<button name="action" value="cancel" formnovalidate>Cancel</button></form></html>
`))

// shown is what a page shows. Consent makes it the question whether a client
// may act for Subject; without it the page asks for a password.
type shown struct {
	Client, Subject, Consent, Error string
	Scopes                          []string
}

// page asks for a password.
func page(w http.ResponseWriter, a asked, status int, message string) {
	show(w, status, shown{Client: a.client.ID, Scopes: a.grant.Scopes, Error: message})
}

func show(w http.ResponseWriter, status int, s shown) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	pages.Execute(w, s)
}
