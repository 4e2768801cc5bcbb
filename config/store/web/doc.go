// Package web serves the documents of a config/store over HTTP, for programs that
// have no access to its engine, or are written in other languages.
//
//	h, err := web.New(st, web.Authorize(au, "orders"))
//	mux.Handle("/config/", http.StripPrefix("/config", h))
//
// A Go program follows them with config/url:
//
//	config.WithSource(url.LongPoll("https://ops/config/shop/prod/orders?layers", 30*time.Second, url.WithRequest(token)))
//
// # Requests
//
//	GET    /shop/prod             the document, with its version as ETag
//	GET    /shop/prod?version=3   that version
//	GET    /shop/prod?history     its newest versions, at most 100
//	GET    /shop/prod?layers      "shop" and "shop/prod" merged, as a program runs them
//	PUT    /shop/prod             replaces the document
//	PATCH  /shop/prod             applies a JSON Merge Patch (RFC 7396)
//	DELETE /shop/prod             deletes it
//
// A read with If-None-Match is answered with 304 if nothing has changed. With
// Prefer: wait=30 (RFC 7240) beside it, layers are answered when they change, or
// with 304 after as many seconds, 60 at the most. With Accept: text/event-stream
// they are a stream of events, each the whole, whose id is the ETag; a client that
// connects again sends it as Last-Event-ID.
//
// A write with If-Match succeeds on that version alone, one with
// If-None-Match: * if there is none. ?comment= says why it is done. The answer
// is the version that it made.
//
// # Errors
//
// 400 for what can't be read, 401 and 403 as the function given to New says, 404,
// 412 for a condition that does not hold, 413, 422 for a document that a
// validator refuses, 503 while the store is unavailable, with too many waiting
// (WithWaiters) or closing, 504 for a write that may have been applied.
//
// # Closing
//
// Close ends the requests that wait, and waits for them. The store stays open. A
// server that drains would wait for them, too: close the handler in
// wrapper.WithOnDrain, or before http.Server.Shutdown.
package web
