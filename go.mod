module github.com/seed-31c5bcb2/auth

go 1.25.1

require github.com/gorilla/securecookie v1.1.2
