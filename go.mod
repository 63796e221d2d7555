module github.com/ward-health/ward

go 1.26
