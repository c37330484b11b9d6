"""
A host to copy: one small application around autopay_core.

`firm` wires the ports and the book, `company` is a make-believe payment
company, `forms` makes values of what people type, `payer` and `staff` are the
pages, `web` puts them together.
"""
