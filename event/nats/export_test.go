package nats

func Escape(s string) string { return escape(s) }

func KeyOf(id string) string { return keyOf(id).String() }

var AtLeast = atLeast
